"""Check the version ranges of pyproject.toml against both of their ends.

`newest` proves that the package resolves together with the newest langchain, langgraph, langsmith
and langchain-openai; `floor` runs the tests with the oldest versions that the ranges allow; `wheel`
builds the package and imports it where nothing else is installed; `tests` runs the tests with the
newest versions on the Python that runs this.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPANIONS = ("langchain", "langgraph", "langsmith", "langchain-openai")


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command and end with its failure."""
    subprocess.run(command, check=True, cwd=cwd)  # noqa: S603 - our own commands


def environment(folder: Path) -> Path:
    """Make a virtual environment and return its Python."""
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-U", "pip>=25.1")
    return python


def resolved(python: Path, *wanted: str) -> dict[str, str]:
    """Return the versions that pip would install, by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = ("install", "-q", "--dry-run", "--ignore-installed", "--report", str(report))
        run(python, "-m", "pip", *options, *wanted)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in found}


def newest(python: Path) -> None:
    """Resolve the companions alone and together with us: we must not hold any of them back."""
    alone = resolved(python, *COMPANIONS)
    together = resolved(python, ".[local,oauth,aiohttp]", *COMPANIONS)
    for name in COMPANIONS:
        print(f"{name}: newest {alone[name]}, with langchain-coze {together[name]}")
    if any(alone[name] != together[name] for name in COMPANIONS):
        sys.exit("langchain-coze holds one of them back: widen its ranges")


def floor(python: Path) -> None:
    """Run the tests with the lower ends of all ranges."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    pins = [re.sub(r">=([\d.]+).*", r"==\1", requirement) for requirement in wanted]
    print("lower ends:", ", ".join(pins))
    run(python, "-m", "pip", "install", "-q", "-e", ".", "--group", "test", *pins)
    run_tests(python, "--ignore", "tests/unit_tests/test_docs.py")


def tests(python: Path) -> None:
    """Run the tests with the newest versions."""
    groups = ("--group", "test", "--group", "agents", "--group", "batch")
    run(python, "-m", "pip", "install", "-q", "-e", ".[local,oauth,aiohttp]", *groups)
    run_tests(python)


def run_tests(python: Path, *options: str) -> None:
    """Run the tests that need no environment but this one."""
    folders = ("tests/unit_tests", "tests/integration_tests")
    parallel = ("-n", "auto", "--dist", "loadfile")  # as in the Makefile
    run(python, "-m", "pytest", "-q", "-r", "fE", *parallel, *options, *folders)


def wheel(python: Path) -> None:
    """Build the wheel and import it in an environment that has nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ".")
        (built,) = Path(folder).glob("*.whl")
        run(python, "-m", "pip", "install", "-q", str(built))
        code = "from langchain_coze import ChatCoze; ChatCoze(bot_id='1', api_key='x')"
        run(python, "-c", code, cwd=Path(folder))
        with zipfile.ZipFile(built) as archive:
            names = set(archive.namelist())
        page = ROOT / "langchain_coze" / "local" / "page"
        missing = {str(path.relative_to(ROOT)) for path in page.iterdir()} - names
        if missing:
            sys.exit(f"the wheel lacks files of the chat page: {sorted(missing)}")


def main() -> None:
    """Run the checks named on the command line."""
    checks = {"newest": newest, "floor": floor, "wheel": wheel, "tests": tests}
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            checks[name](environment(Path(folder, "venv")))


if __name__ == "__main__":
    main()
