"""What is published: reproducible archives, a wheel without secrets, workflows that fit."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

import langchain_coze

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytest.importorskip("hatchling", reason="the archives are built with it")


def load_build_script() -> Any:
    spec = importlib.util.spec_from_file_location("ci_build", ROOT / ".ci" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = load_build_script()


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build as `make dist` does: twice, compared, the wheel checked."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "build.py", folder],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000"},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^[0-9a-f]{64}  (.+)$", done.stdout, re.MULTILINE)) == {
        path.name for path in folder.iterdir()
    }
    return folder


@pytest.mark.slow
def test_the_wheel_has_the_package_its_licences_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert wheel.name == f"langchain_coze-{langchain_coze.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {entry.date_time[:3] for entry in archive.infolist()} == {(2026, 9, 21)}
        info = f"langchain_coze-{langchain_coze.__version__}.dist-info"
        metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "langchain_coze").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names - ours == {
        f"{info}/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE", "licenses/NOTICE")
    }
    assert ours <= names
    assert metadata["License-Expression"] == "MIT"


@pytest.mark.slow
def test_the_source_archive_can_build_the_wheel(dist: Path, tmp_path: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    subprocess.run(["tar", "xzf", archive], cwd=tmp_path, check=True)  # noqa: S607 - on every system
    (sources,) = tmp_path.iterdir()
    (wheel,) = dist.glob("*.whl")
    assert BUILD.build(sources, tmp_path / "built").keys() == {wheel.name, archive.name}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("langchain_coze/a.py", b"token = 'pat_" + b"x" * 32 + b"'", "looks like a secret"),
        ("langchain_coze/a.py", b"eyJ" + b"a" * 30 + b"." + b"b" * 30, "looks like a secret"),
        ("langchain_coze/a.pem", b"", "contains langchain_coze/a.pem"),
        ("langchain_coze/recordings/01.txt", b"", "contains langchain_coze/recordings/01.txt"),
        ("tests/test_a.py", b"", "contains tests/test_a.py"),
        ("langchain_coze/a.py", b"example = 'pat_example'", ""),
    ],
)
def test_secrets_and_recordings_are_found_in_a_wheel(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name, content)
    problems = BUILD.check_wheel(wheel)
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)


def load_workflow(path: Path) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(path.read_text("utf-8"))


def test_the_workflow_runs_every_supported_version_and_system() -> None:
    workflow = load_workflow(ROOT / ".github" / "workflows" / "ci.yml")
    jobs = workflow["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["python"] == versions == ["3.11", "3.12", "3.13", "3.14"]
    systems = [matrix["os"][0], *(entry["os"] for entry in matrix["include"])]
    assert systems == ["ubuntu-latest", "windows-latest", "macos-latest"]
    assert jobs["versions"]["strategy"]["matrix"]["versions"] == ["newest", "floor"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_commands_of_a_workflow_exist(path: Path) -> None:
    workflow = load_workflow(path)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = "\n".join(step.get("run", "") for step in steps)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake ([\w-]+)", commands):
        assert re.search(f"^{target}:", makefile, re.MULTILINE), target
    for script in re.findall(r"python (\S+\.py)", commands):
        assert (ROOT / script).exists(), script
    assert workflow["permissions"] == {"contents": "read"}


def test_nothing_is_published_before_the_name_is_settled() -> None:
    workflow = load_workflow(ROOT / ".github" / "workflows" / "release.yml")
    assert workflow["jobs"]["build"]["if"] == "vars.NAME_IS_SETTLED == 'yes'"
    assert workflow["jobs"]["publish"]["needs"] == "build"


def test_the_notice_names_the_recordings_and_their_licences() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text("utf-8").split())
    folders = [path.name for path in (ROOT / "tests" / "recordings").iterdir() if path.is_dir()]
    assert sorted(folders) == ["site", "studio"]
    for text in ("recordings/studio", "Apache License, Version 2.0", "recordings/site", "MIT"):
        assert text in notice
