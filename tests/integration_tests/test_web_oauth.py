"""The recipe for OAuth web apps in the documentation, over a socket."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from langchain_coze import ChatCoze
from langchain_coze.local import LocalCoze
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import serve_script

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture(params=["en", "zh"])
def recipe(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the names that the recipe of a language defines."""
    page = (DOCS / request.param / "authentication.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "class WebOAuthToken" in block]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own documentation
    return names


def make_reply(access_token: str, refresh_token: str, seconds: float) -> dict[str, Any]:
    """Return a reply of the token endpoint; `expires_in` is a point in time (wire 6.1)."""
    expires_in = int(time.time() + seconds)
    return {
        "access_token": access_token,
        "expires_in": expires_in,
        "refresh_token": refresh_token,
        "token_type": "Bearer",
    }


def test_the_code_of_a_redirect_is_exchanged(recipe: dict[str, Any]) -> None:
    reply = make_reply("czu_first", "refresh-1", 900)
    with serve_script(json.dumps(reply).encode(), content_type="application/json") as server:
        grant = {"grant_type": "authorization_code", "code": "c", "redirect_uri": "https://a.b/c"}
        tokens = recipe["request_tokens"]("3100", "secret", server.base_url, **grant)
    assert tokens == reply
    assert server.paths == ["/api/permission/oauth2/token"]
    assert server.bodies == [{"client_id": "3100", **grant}]
    assert server.headers[0]["authorization"] == "bearer secret"


@pytest.mark.parametrize("style", CALL_STYLES, ids=lambda style: style.__name__)
def test_a_token_is_refreshed_before_it_expires(style: CallStyle, recipe: dict[str, Any]) -> None:
    with LocalCoze() as coze:
        first = make_reply("czu_old", "refresh-1", 30)
        second = make_reply(coze.token, "refresh-2", 900)
        with serve_script(json.dumps(second).encode(), content_type="application/json") as server:
            saved: list[Any] = []
            token = recipe["WebOAuthToken"]("3100", "secret", first, saved.append, server.base_url)
            bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=token, base_url=coze.base_url)
            assert style(bot, "What is Coze?").text
            assert style(bot, "What is Coze?").text
    assert saved == [second]
    (body,) = server.bodies  # the second token is good for both calls
    assert body == {
        "client_id": "3100",
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
    }
