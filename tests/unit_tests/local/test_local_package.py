import re
import subprocess
import sys
from typing import Any

import pytest

import langchain_coze.local as package
from langchain_coze.local import LocalBot, LocalCoze
from langchain_coze.local.__main__ import main
from langchain_coze.local.wire.ids import derive_id, generate_id


def test_public_names_exist_and_are_sorted() -> None:
    assert package.__all__ == sorted(package.__all__, key=lambda n: (not n.isupper(), n))
    for name in package.__all__:
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = package.Nothing


def test_importing_is_light() -> None:
    code = (
        "import sys, langchain_coze.local as l; l.LocalBot; "
        "heavy = ('pytest', 'numpy', 'bm25s', 'uvicorn', 'langgraph'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_failing_reply_prints_nothing() -> None:
    code = (
        "import logging, langchain_coze.local; "
        "logging.getLogger('langchain_coze.local.runtime.chat_run').error('a reply failed')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_missing_extra_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['starlette'] = None\nfrom langchain_coze.local import LocalCoze"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert "pip install starlette uvicorn bm25s python-multipart" in done.stderr
    assert 'pip install ".[local]"' in done.stderr


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"profile": "stadium"}, "profile"),
        ({"error_status": "404"}, "error_status"),
        ({"faults": "no_such_fault"}, "no_such_fault"),
        ({"bots": [LocalBot(name="a"), LocalBot(name="a")]}, "two bots"),
    ],
)
def test_invalid_settings_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        LocalCoze(**change)


def test_bots_may_be_functions_or_bots() -> None:
    def shout(question: str) -> str:
        return question.upper()

    coze = LocalCoze([shout, LocalBot(name="second")])
    assert [bot.name for bot in coze.bots] == ["shout", "second"]
    assert LocalCoze(shout).bots[0].bot_id == coze.bots[0].bot_id
    assert LocalCoze().bots[0].knowledge is not None
    with pytest.raises(RuntimeError, match=r"not running.*\n服务未在运行"):
        _ = coze.base_url


def test_ids_look_like_those_of_coze() -> None:
    made = [generate_id() for _ in range(100)]
    assert len(set(made)) == 100
    assert all(len(i) == 19 and i.isdecimal() and int(i) < 2**63 for i in (*made, derive_id("a")))
    assert derive_id("a", "b") != derive_id("ab")


def test_the_help_of_the_command_is_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    described = capsys.readouterr().out.partition("positional arguments:")[2]
    entries = re.split(r"\n  (?=-|module)", described)[1:]
    own = [entry for entry in entries if not entry.startswith("-h")]
    assert len(own) == 6
    for entry in own:
        assert re.search(r" /\s", entry)
        assert re.search("[\u4e00-\u9fff]", entry)
