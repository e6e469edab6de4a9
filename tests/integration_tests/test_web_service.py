"""The web service of the deployment page, over a socket."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
import uvicorn

from langchain_coze.local import LocalBot, LocalCoze
from langchain_coze.local.reply_parts import Fail
from tests.conftest import make_chat, serve, wait_until

PAGE = Path(__file__).parent.parent.parent / "docs" / "en" / "deployment.md"


def count(question: str) -> Iterator[str | Fail]:
    """Answer with numbers for some seconds; fail at once when asked to."""
    yield "0 "
    if question == "Fail":
        yield Fail(4014, "No.")
    for number in range(1, 100):
        time.sleep(0.05)
        yield f"{number} "


COUNTER = LocalBot(count)
coze = serve(COUNTER)


@pytest.fixture
def address(coze: LocalCoze) -> Iterator[str]:
    """Run the service of the page with uvicorn, for a bot that answers slowly."""
    source = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )[0]
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - our own documentation
    names["coze"].stop()
    names["model"] = make_chat(coze, COUNTER, cancel_on_close=True)
    server = uvicorn.Server(uvicorn.Config(names["app"], port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/chat"
    server.should_exit = True
    thread.join()


def test_a_browser_that_disconnects_cancels_the_chat(coze: LocalCoze, address: str) -> None:
    question = {"text": "Count", "user": "ada"}
    with httpx.stream("POST", address, json=question) as response:
        assert response.headers["x-accel-buffering"] == "no"
        assert next(response.iter_lines()) == "event: text"
    wait_until(lambda: coze.requests[-1].path == "/v3/chat/cancel")
    assert coze.requests[0].body["user_id"] == "ada"


def test_an_error_in_a_stream_is_an_event_and_logged(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = httpx.post(address, json={"text": "Fail", "user": "ada"})
    *_, last = response.text.strip().split("\n\n")
    name, data = last.split("\n")
    problem = json.loads(data.removeprefix("data: "))
    assert (name, problem["code"]) == ("event: error", 4014)
    assert problem["logid"]
    assert problem["message"]
    assert f"logid {problem['logid']}" in caplog.text
