from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.retrievers import BaseRetriever
from pydantic import ValidationError

from langchain_coze import CozeInvalidRequestError, CozeRecallRetriever
from tests.conftest import WITHOUT_AIOHTTP

TOKEN = "pat_abcdefghijkl"


def make_retriever(**fields: Any) -> CozeRecallRetriever:
    return CozeRecallRetriever(**{"bot_id": "7374", "api_key": TOKEN, **fields})


def test_fields_have_their_documented_defaults() -> None:
    retriever = make_retriever()
    assert isinstance(retriever, BaseRetriever)
    assert (retriever.k, retriever.score_threshold) == (None, None)
    assert (retriever.query_parameter, retriever.output_path) == ("input", None)
    assert (retriever.recall_grace, retriever.cancel_on_close) == (0.25, False)
    assert retriever.auto_save_history is False
    assert retriever.base_url == "https://api.coze.cn"


@pytest.mark.parametrize(
    "field",
    [
        {"k": 0},
        {"k": -3},
        {"score_threshold": -0.1},
        {"score_threshold": float("nan")},
        {"score_threshold": float("inf")},
        {"recall_grace": -1},
        {"recall_grace": float("inf")},
        {"query_parameter": ""},
        {"max_duration": 0},
    ],
)
def test_invalid_fields_are_rejected_by_name(field: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(field))):
        make_retriever(**field)


def test_a_misspelt_field_is_rejected() -> None:
    with pytest.raises(ValueError, match="no argument 'score_treshold'") as caught:
        make_retriever(score_treshold=0.5)
    assert "Did you mean score_threshold?" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bot_id": ""}, "No bot is set"),
        ({"workflow_id": "7", "app_id": "8"}, "A workflow runs in a bot or in an app: both"),
        ({"workflow_id": "7", "custom_variables": {"a": "b"}}, "does not support custom_variables"),
    ],
)
def test_invalid_settings_are_rejected_before_any_request(
    fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COZE_BOT_ID", raising=False)
    retriever = make_retriever(base_url="http://127.0.0.1:9", max_retries=0, **fields)
    with pytest.raises(CozeInvalidRequestError, match=message):
        retriever.invoke("Tea?")


def test_the_token_is_not_shown() -> None:
    retriever = make_retriever()
    assert TOKEN not in f"{retriever!r}{retriever!s}{dumpd(retriever)}"


def test_tracers_get_the_name_of_the_retriever() -> None:
    assert make_retriever()._get_ls_params()["ls_retriever_name"] == "coze_recall"
    assert make_retriever().get_name() == "CozeRecallRetriever"


def test_importing_is_light() -> None:
    code = (
        f"{WITHOUT_AIOHTTP}; import langchain_coze; "
        "langchain_coze.CozeRecallRetriever(bot_id='1', api_key='x'); "
        "print(sorted({'httpx', 'langgraph'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
