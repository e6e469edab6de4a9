from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest
from langchain_core import exceptions as core

from langchain_coze import (
    CozeWorkflowError,
    _account_hints,
    _doctor_hints,
    _hints,
    _knowledge_hints,
    _oauth_hints,
    _site_hints,
    errors,
)
from langchain_coze._api.error_codes import CODES, make_error
from langchain_coze.errors import CozeError, ErrorResponse, is_retryable, redact

HINTS = {
    f"{table}.{name}": text
    for table, module in {
        "account_hints": _account_hints,
        "doctor_hints": _doctor_hints,
        "hints": _hints,
        "oauth_hints": _oauth_hints,
        "site_hints": _site_hints,
        "knowledge_hints": _knowledge_hints,
    }.items()
    for name, text in vars(module).items()
    if name.isupper()
}
# wire 7.1, the official table: code -> class of the error
TABLE = {
    "CozeInvalidRequestError": "4000 4003 4004 4005 4007 4012 4021 4104 4201 4300 4301 4302 4303 "
    "4304 4305 4315 6003 6039 103200005 720702204",
    "CozeNotFoundError": "4001 4002 4006 4015 4200 4314 6031 100000000 103000002 "
    "720702004 720702011",
    "CozeQuotaError": "4011 4019 4022 4027 4028",
    "CozeRateLimitError": "4008 4009 4020",
    "CozeContextLengthError": "4010",
    "CozeServerError": "4013 5000",
    "CozeContentError": "4014 4102 4105",
    "CozeConversationBusyError": "4016",
    "CozeAuthenticationError": "4100 700012006",
    "CozePermissionError": "4101 103000001",
    "CozeChatError": "103200002",
}
RETRYABLE = {
    "CozeRateLimitError",
    "CozeServerError",
    "CozeConversationBusyError",
    "CozeConnectionError",
    "CozeTimeoutError",
    "CozeStreamError",
}
CORE = {
    "CozeAuthenticationError": core.ModelAuthenticationError,
    "CozePermissionError": core.ModelPermissionDeniedError,
    "CozeNotFoundError": core.ModelNotFoundError,
    "CozeInvalidRequestError": core.ModelInvalidRequestError,
    "CozeContextLengthError": core.ContextOverflowError,
    "CozeRateLimitError": core.ModelRateLimitError,
    "CozeServerError": core.ModelAPIError,
    "CozeConnectionError": core.ModelConnectionError,
    "CozeTimeoutError": core.ModelTimeoutError,
}
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, CozeError)
} | {"CozeWorkflowError": CozeWorkflowError}


def test_the_whole_table_of_codes() -> None:
    expected = {int(code): name for name, codes in TABLE.items() for code in codes.split()}
    assert {code: entry.error.__name__ for code, entry in CODES.items()} == expected


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_hint_in_both_languages(code: int) -> None:
    text = str(make_error(code, "message", logid="L1"))
    first, english, chinese = text.splitlines()
    assert first == f"message (code {code}, logid L1)"
    assert english.startswith("Hint: ")
    assert english.isascii() or "…" in english
    assert chinese.startswith("提示：")
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese[3:])


@pytest.mark.parametrize("name", HINTS)
def test_every_hint_says_the_same_in_both_languages(name: str) -> None:
    english, chinese = HINTS[name].splitlines()
    assert english.startswith("Hint: ") == chinese.startswith("提示：")
    assert not re.search("[\u4e00-\u9fff]", english)
    assert re.search("[\u4e00-\u9fff]", chinese.removeprefix("提示："))
    assert find_placeholders(chinese) <= find_placeholders(english)


def find_placeholders(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)", text))


def test_every_hint_is_used() -> None:
    package = Path(errors.__file__).parent
    code = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    assert HINTS.keys() - re.findall(r"\b(?:\w+_)?hints\.[A-Z0-9_]+", code) == set()


@pytest.mark.parametrize("name", CLASSES)
def test_classes_fit_langchain_and_langgraph(name: str) -> None:
    from langgraph._internal._retry import default_retry_on  # noqa: PLC0415 - what users get

    kind = CLASSES[name]
    error = kind("message")
    assert issubclass(kind, core.ModelError)
    assert error.is_retryable == (name in RETRYABLE)
    assert is_retryable(error) == (name in RETRYABLE)
    if name in CORE:
        assert isinstance(error, CORE[name])
    assert not isinstance(error, OSError)
    if isinstance(error, ValueError):
        assert not error.is_retryable
        assert not default_retry_on(error)


def test_a_turn_that_had_started_is_not_retryable() -> None:
    assert not is_retryable(make_error(5000, "m", chat_id="7"))
    assert not is_retryable(ValueError("m"))
    assert not is_retryable(TimeoutError("m"))
    unheard = errors.CozeTimeoutError("m")
    assert is_retryable(unheard)
    # an unanswered POST may have started a turn
    assert not is_retryable(unheard.with_context(may_have_started=True))


def test_http_statuses_decide_where_codes_do_not() -> None:
    kinds = {
        400: errors.CozeInvalidRequestError,
        401: errors.CozeAuthenticationError,
        403: errors.CozePermissionError,
        404: errors.CozeNotFoundError,
        429: errors.CozeRateLimitError,
        500: errors.CozeServerError,
        503: errors.CozeServerError,
        418: CozeError,
    }
    for status, kind in kinds.items():
        assert type(make_error(None, "m", status_code=status)) is kind
    assert type(make_error(4015, "m", status_code=500)) is errors.CozeNotFoundError
    assert type(make_error(999, "m", default=errors.CozeChatError)) is errors.CozeChatError


def test_an_error_survives_pickle_and_copy() -> None:
    error = make_error(
        4028,
        "m",
        logid="L",
        chat_id="7",
        conversation_id="9",
        debug_url="https://h/d",
        retry_after=3.0,
        response=ErrorResponse(200, {"x-tt-logid": "L"}, '{"code":4028}'),
    )
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)
    assert error.response is not None
    assert error.response.json() == {"code": 4028}
    assert "debug_url https://h/d" in str(error)


def test_an_error_without_a_message_has_a_default_message() -> None:
    assert str(CozeError()) == "CozeError"
    first, english, chinese = str(make_error(None, "m", status_code=418)).splitlines()
    assert first == "m (HTTP 418)"
    assert english.startswith("Hint: ")
    assert chinese.startswith("提示：")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("pat_abcdefgh and czs_12345678.x", "pat_*** and czs_***"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("bearer token is missing", "bearer token is missing"),
        ("a path_to_file", "a path_to_file"),
        ("my own hunter22", "my own ***"),
        ("a short x goes, max stays", "a short *** goes, max stays"),
        ("JWT eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "JWT eyJ***"),
        ('{"t":"sl\\/ash\\/token"}', '{"t":"***"}'),
    ],
)
def test_secrets_are_redacted(text: str, clean: str) -> None:
    assert redact(text, "hunter22", "", "x", "sl/ash/token") == clean


def test_every_class_is_found_among_the_errors() -> None:
    assert errors.CozeWorkflowError is CozeWorkflowError
    assert not hasattr(errors, "CozeNothing")


def test_requests_that_may_have_started_are_not_retryable() -> None:
    late, cut = errors.CozeTimeoutError("late"), errors.CozeStreamError("cut", chat_id="7")
    started = late.with_context(may_have_started=True)
    assert (late.is_retryable, started.is_retryable, cut.is_retryable) == (True, False, False)
    assert not pickle.loads(pickle.dumps(started)).is_retryable
    assert started.with_context(may_have_started=False).is_retryable


def test_with_context_returns_a_copy_and_keeps_the_rest() -> None:
    error = errors.CozeWorkflowInterrupt("asked", pending={"event_id": "7"}, logid="L")
    error.__cause__ = OSError("cut")
    error.add_note("at night")
    copied = error.with_context(message="token pat_abcdef123", run_id="9", logid="M")
    assert (copied.message, copied.run_id, copied.logid) == ("token pat_***", "9", "M")
    assert (copied.event_id, copied.__notes__) == ("7", ["at night"])
    assert copied.__cause__ is error.__cause__
    assert (error.message, error.run_id, error.logid) == ("asked", None, "L")
    with pytest.raises(TypeError, match="CozeWorkflowInterrupt has no log_id"):
        error.with_context(log_id="M")
