"""What `from MODULE import NAME` costs on top of langchain_core: run in a fresh process."""

import importlib
import sys
import time


def main() -> None:
    """Print the CPU milliseconds of the import named by the two arguments."""
    base = importlib.import_module("langchain_core.language_models")
    assert base.BaseChatModel is not None
    start = time.process_time()
    module = importlib.import_module(sys.argv[1])
    assert getattr(module, sys.argv[2]) is not None
    sys.stdout.write(f"{(time.process_time() - start) * 1e3:.3f}\n")


if __name__ == "__main__":
    main()
