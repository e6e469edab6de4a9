"""The fixtures for pytest, here and in the test suite of a user, which is a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import langchain_coze.local
from langchain_coze.local import LocalCoze
from tests.integration_tests.local.local_client import LocalClient, answers, user

pytest_plugins = ["langchain_coze.local.pytest_plugin"]

NAMED = 'pytest_plugins = ["langchain_coze.local.pytest_plugin"]\n'
ROOT = Path(__file__).resolve().parents[3]
TOKEN = "pat_of_a_user_of_the_plugin_0123456789"


def test_fixture_serves_the_sample_bot_in_both_languages(local_coze: LocalCoze) -> None:
    with LocalClient(local_coze) as client:
        chinese = client.chat(additional_messages=[user("怎么发布智能体？")])
        english = client.chat(additional_messages=[user("How do I publish a bot?")])
    assert "勾选 API 渠道" in answers(chinese)[0]
    assert "tick the API channel" in answers(english)[0]


def test_fixtures_can_be_imported_from_the_package() -> None:
    home = sys.modules["langchain_coze.local.pytest_plugin"]
    assert langchain_coze.local.local_coze is home.local_coze
    assert langchain_coze.local.local_coze_env is home.local_coze_env


def suite(folder: Path, *options: str, **files: str) -> tuple[int, str]:
    """Run a test suite as its user would; give its exit status and what it prints."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COZE_")}
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-W", "error", *options]
    command += ["-o", "asyncio_default_fixture_loop_scope=function", str(folder)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=kept | {"COZE_API_TOKEN": TOKEN[:9], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


USERS_TESTS = f"""
import os, threading
import pytest
from langchain_coze import ChatCoze

SEEN = []


@pytest.mark.local_coze(bots=str.upper, token="{TOKEN}")
def test_marker_and_environment(local_coze_env, local_coze):
    assert local_coze_env is local_coze
    assert os.environ["COZE_API_TOKEN"] == "{TOKEN}"
    assert ChatCoze().invoke("hello").text == "HELLO"
    SEEN.append(local_coze.base_url)


def test_nothing_is_left(monkeypatch):
    assert os.environ["COZE_API_TOKEN"] == "{TOKEN[:9]}"
    assert "COZE_API_BASE" not in os.environ
    with pytest.raises(Exception, match="."):
        ChatCoze(bot_id="7", base_url=SEEN[0], max_retries=0).invoke("hello")
    assert not [t for t in threading.enumerate() if t.name == "local-coze"]


@pytest.mark.local_coze(faults="error=4028")
class TestOfAClass:
    def test_class(self, local_coze):
        assert local_coze.faults == "error=4028"

    @pytest.mark.local_coze(profile="studio")
    def test_closest_marker(self, local_coze):
        assert (local_coze.faults, local_coze.profile) == ((), "studio")


@pytest.mark.local_coze(bots=[])
def test_no_bots(local_coze_env):
    assert "COZE_BOT_ID" not in os.environ
    assert os.environ["COZE_WORKSPACE_ID"] == local_coze_env.workspace_id
"""


@pytest.mark.parametrize("way", ["conftest", "option"])
def test_the_fixtures_work_in_the_test_suite_of_a_user(tmp_path: Path, way: str) -> None:
    options = ["-p", "langchain_coze.local.pytest_plugin"] if way == "option" else []
    conftest = NAMED if way == "conftest" else ""
    status, told = suite(tmp_path, *options, conftest=conftest, test_users=USERS_TESTS)
    assert status == 0, told
    assert "5 passed" in told


def test_a_test_that_fails_does_not_print_the_token(tmp_path: Path) -> None:
    fails = f"""
import pytest
from langchain_coze import ChatCoze


@pytest.mark.local_coze(token="{TOKEN}"[:])
def test_fails(local_coze_env):
    ChatCoze().invoke("hello")
    assert local_coze_env.requests == [] == [local_coze_env]
"""
    status, told = suite(tmp_path, "-vv", "--showlocals", conftest=NAMED, test_fails=fails)
    assert status == 1
    assert "1 failed" in told
    assert "RecordedRequest(method='POST', path='/v3/chat'" in told
    # The test's own line is shown, of course.
    assert told.replace(f'token="{TOKEN}"[:]', "").count(TOKEN) == 0


def test_marker_arguments_without_a_name_are_refused(tmp_path: Path) -> None:
    wrong = """
import pytest
from langchain_coze.local import LocalBot


@pytest.mark.local_coze(LocalBot(str.upper))
def test_wrong(local_coze): ...
"""
    status, told = suite(tmp_path, conftest=NAMED, test_wrong=wrong)
    assert status == 1
    assert "accepts only keyword arguments" in told
    assert "1 error" in told
