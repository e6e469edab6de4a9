"""Values that are set after the construction of an object: secrets stay hidden, checks hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from langchain_coze import (
    ChatCoze,
    CozeInvalidRequestError,
    CozeRecallRetriever,
    CozeToolkit,
    CozeWorkflowTool,
)
from langchain_coze._api.settings import Settings

TOKEN = "pat_AnotherToken123"

OBJECTS: dict[str, Callable[..., Any]] = {
    "model": lambda **fields: ChatCoze(bot_id="1", **fields),
    "retriever": lambda **fields: CozeRecallRetriever(bot_id="1", **fields),
    "tool": lambda **fields: CozeWorkflowTool(workflow_id="1", **fields),
    "toolkit": lambda **fields: CozeToolkit(workspace_id="1", **fields),
}


def assign(owner: Any, name: str, value: Any) -> Any:
    setattr(owner, name, value)
    return owner


def copy_with(owner: Any, name: str, value: Any) -> Any:
    return owner.model_copy(update={name: value})


def copy_deeply_with(owner: Any, name: str, value: Any) -> Any:
    return owner.model_copy(update={name: value}, deep=True)


Setter = Callable[[Any, str, Any], Any]
SETTERS = [assign, copy_with, copy_deeply_with]


def shows(owner: Any, secret: str) -> bool:
    return secret in f"{owner!r}{owner!s}{vars(owner)}{owner.model_dump()}"


@pytest.mark.parametrize("set_field", SETTERS)
@pytest.mark.parametrize("kind", OBJECTS)
def test_a_token_that_is_set_later_stays_a_secret(kind: str, set_field: Setter) -> None:
    changed = set_field(OBJECTS[kind](api_key="pat_x"), "api_key", TOKEN)
    assert changed.api_key == SecretStr(TOKEN)
    assert not shows(changed, TOKEN)


@pytest.mark.parametrize("set_field", [copy_with, copy_deeply_with])
@pytest.mark.parametrize("kind", OBJECTS)
def test_a_copy_knows_the_other_names_of_fields(kind: str, set_field: Setter) -> None:
    owner = OBJECTS[kind](api_key="pat_x")
    assert set_field(owner, "coze_api_key", TOKEN).api_key == SecretStr(TOKEN)
    assert not shows(set_field(owner, "coze_api_key", TOKEN), TOKEN)
    assert set_field(owner, "coze_api_base", "http://a.example/").base_url == "http://a.example"


@pytest.mark.parametrize("set_field", SETTERS)
def test_the_options_of_a_toolkit_hide_their_token(set_field: Setter) -> None:
    for name in ("api_key", "coze_api_key"):
        options = {name: TOKEN, "default_headers": {"X-Key": "gateway-secret"}}
        made = CozeToolkit(workspace_id="1", tool_options=options)
        changed = set_field(CozeToolkit(workspace_id="1"), "tool_options", options)
        for toolkit in (made, changed):
            assert toolkit.tool_options[name] == SecretStr(TOKEN)
            assert not shows(toolkit, TOKEN)
            assert "gateway-secret" not in f"{toolkit!r}{toolkit.model_dump()}"


@pytest.mark.parametrize("set_field", SETTERS)
@pytest.mark.parametrize("kind", OBJECTS)
def test_values_that_are_set_later_are_checked(kind: str, set_field: Setter) -> None:
    owner = OBJECTS[kind](api_key="pat_x", base_url="http://a.example")
    assert set_field(owner, "base_url", "http://b.example/").base_url == "http://b.example"
    with pytest.raises(CozeInvalidRequestError, match="base_url must be an address"):
        set_field(owner, "base_url", "https://api..coze.cn")
    with pytest.raises(CozeInvalidRequestError, match="must not contain Authorization"):
        set_field(owner, "default_headers", {"authorization": TOKEN})
    with pytest.raises(CozeInvalidRequestError, match="'X-Team' in default_headers") as caught:
        set_field(owner, "default_headers", {"X-Team": f"{TOKEN} 测试"})
    assert TOKEN not in str(caught.value)
    for name in ("default_headers", "api_key"):
        assert getattr(set_field(owner, name, None), name) is None


@pytest.mark.parametrize(
    "header", [{"X-Team": "测试"}, {"X-队": "a"}, {"X Y": "a"}, {"X": "a\n"}, {"X": "é"}, {"": "a"}]
)
@pytest.mark.parametrize("kind", OBJECTS)
def test_headers_that_cannot_be_sent_are_named_at_once(kind: str, header: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="in default_headers cannot be sent") as caught:
        OBJECTS[kind](default_headers=header)
    assert repr(next(iter(header))) in str(caught.value)


def test_settings_do_not_show_headers() -> None:
    settings = Settings(base_url="http://a.example", headers={"X-Key": "gateway-secret"})
    assert "gateway-secret" not in repr(settings)
