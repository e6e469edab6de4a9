from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_coze._api.token_sources import make_token_source
from langchain_coze.errors import CozeAuthenticationError


class Holder:
    def __init__(self, token: Any) -> None:
        self.token = token


async def coroutine() -> str:
    return "pat_x"


@pytest.mark.parametrize(
    "given",
    [
        "pat_x",
        " pat_x\n",
        "Bearer pat_x",
        '"pat_x"',
        "'pat_x'",
        "“pat_x”",
        ' "Bearer pat_x"\n',
        lambda: '"pat_x"',
        SecretStr("pat_x"),
        lambda: "pat_x",
        lambda: SecretStr("pat_x"),
        Holder("pat_x"),
        Holder(lambda: "pat_x"),
    ],
)
def test_a_token_may_come_from_a_string_or_a_function(given: Any) -> None:
    assert make_token_source(given).get().get_secret_value() == "pat_x"
    assert asyncio.run(make_token_source(given).aget()).get_secret_value() == "pat_x"


def test_a_coroutine_function_serves_asynchronous_calls_only() -> None:
    source = make_token_source(coroutine)
    assert asyncio.run(source.aget()).get_secret_value() == "pat_x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no coroutine is left unawaited
        with pytest.raises(CozeAuthenticationError, match="only with ainvoke and astream"):
            source.get()


@pytest.mark.parametrize("given", [None, "", "  ", SecretStr(""), 7])
def test_a_missing_token_is_an_authentication_error(given: Any) -> None:
    with pytest.raises(CozeAuthenticationError, match="No Coze token is set"):
        make_token_source(given)


@pytest.mark.parametrize("given", [lambda: None, lambda: "", Holder(None), Holder("")])
def test_a_source_without_a_token_is_an_error(given: Any) -> None:
    with pytest.raises(CozeAuthenticationError, match="No Coze token is set"):
        make_token_source(given).get()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("pat_“x”", "'“'"),
        ("pat x", "' '"),
        ("pat\nx", r"'\n'"),
        ("pat_密钥", "'密'"),
        ("pat_…", "'…'"),
    ],
)
def test_invalid_tokens_are_refused_and_the_character_is_named(given: str, named: str) -> None:
    with pytest.raises(CozeAuthenticationError) as caught:
        make_token_source(given)
    assert caught.value.message == f"The Coze token contains {named}, which a token cannot have."
    assert "put your token in its place" in str(caught.value)
    assert given not in str(caught.value)
    assert "pat" not in str(caught.value)


def test_a_source_is_called_for_each_request_and_can_be_renewed() -> None:
    tokens = iter(["pat_1", "pat_2"])
    source = make_token_source(lambda: next(tokens))
    assert [source.get().get_secret_value() for _ in range(2)] == ["pat_1", "pat_2"]
    assert source.invalidate()
    assert not make_token_source("pat_x").invalidate()
