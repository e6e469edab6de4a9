"""Build the wheel and the source archive twice and compare them: `python .ci/build.py [folder]`.

The second build has another folder and other file times. The same bytes prove that anyone can
build the published files again from the tagged commit. `SOURCE_DATE_EPOCH` is the time of the last
commit, unless the environment sets it. The wheel may contain neither a token nor a recording.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = re.compile(r"langchain_coze(-[\w.]+\.dist-info)?/")
FORBIDDEN_NAME = re.compile(r"record(ing)?s?/|tests?/|\.env|\.pem$|\.raw$", re.IGNORECASE)
SECRET = re.compile(
    rb"\b(pat|sat|czs|czu|cztei)_[A-Za-z0-9]{20,}|\beyJ[\w-]{20,}\.[\w-]{20,}"
    rb"|-----BEGIN [A-Z ]*KEY-----\n"
)


def git(*arguments: str) -> str:
    """Return what a git command prints."""
    command = ["git", *arguments]
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout


def copy_sources(folder: Path) -> None:
    """Copy what belongs to the repository, with the time of the copy."""
    for name in git("ls-files", "-co", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def build(sources: Path, folder: Path) -> dict[str, str]:
    """Build both archives, and return the SHA-256 of each by name."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct").strip()
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    subprocess.run(  # noqa: S603 - our own command
        command, cwd=sources, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def check_wheel(wheel: Path) -> list[str]:
    """Return one line for each file that does not belong into the wheel."""
    problems = []
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not ALLOWED.match(name) or FORBIDDEN_NAME.search(name):
                problems.append(f"{wheel.name} contains {name}")
            if SECRET.search(archive.read(name)):
                problems.append(f"{wheel.name}: {name} contains what looks like a secret")
    return problems


def main() -> None:
    """Build twice, compare, check the wheel, and keep the archives."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    sums = []
    with tempfile.TemporaryDirectory() as name:
        for number in ("one", "two"):
            sources, built = Path(name, number, "sources"), Path(name, number, "built")
            sources.mkdir(parents=True)
            copy_sources(sources)
            sums.append(build(sources, built))
        if sums[0] != sums[1]:
            sys.exit(f"Two builds differ: {sums}")
        problems = [line for wheel in built.glob("*.whl") for line in check_wheel(wheel)]
        if problems:
            sys.exit("\n".join(problems))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(built, folder)
    for path, digest in sums[0].items():
        print(f"{digest}  {path}")


if __name__ == "__main__":
    main()
