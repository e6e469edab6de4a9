"""Print the conformance matrix in markdown: ``python -m tests.conformance [en|zh]``."""

import sys

from tests.conformance.install import SDKS
from tests.conformance.matrix import Matrix
from tests.conformance.sdk_runner import why_not_ready


def main() -> int:
    """Print it; 1 where a call went otherwise than known, or an SDK is missing."""
    language = sys.argv[1] if len(sys.argv) > 1 else "en"
    for sdk in SDKS:
        if problem := why_not_ready(sdk):
            sys.stderr.write(f"*** {problem}\n")
    text = Matrix().markdown(language)
    sys.stdout.write(text + "\n")
    return int("WRONG" in text or "不符预期" in text or any(map(why_not_ready, SDKS)))


if __name__ == "__main__":
    sys.exit(main())
