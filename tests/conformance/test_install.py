"""SDKs that cannot be had are said so loudly, and nothing else ends by it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.install import ALL, SDKS

SCRIPT = Path(__file__).with_name("install.py")


def install(sdk: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), sdk, str(directory)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


def test_without_node_the_javascript_sdk_is_skipped(tmp_path: Path) -> None:
    done = install("coze-js", tmp_path / "js", PATH=str(tmp_path))
    assert done.returncode == 0
    assert "*** conformance tests will be SKIPPED: @coze/api 1.3.9 could not be" in done.stderr
    assert "node and npm are not there" in done.stderr
    assert SDKS["coze-js"].why_not_ready(tmp_path / "js") == (
        "@coze/api 1.3.9 could not be installed: node and npm are not there (Node.js 18 or newer)"
    )


@pytest.mark.parametrize("sdk", ALL)
def test_directories_of_others_are_left_alone(sdk: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    done = install(sdk, tmp_path)
    assert done.returncode == 0
    assert "it was left alone" in done.stderr
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("sdk", ALL)
def test_a_missing_sdk_says_how_to_install_it(sdk: str, tmp_path: Path) -> None:
    problem = ALL[sdk].why_not_ready(tmp_path)
    assert problem is not None
    assert problem.endswith(f"run `python tests/conformance/install.py {sdk} {tmp_path.name}`")
