"""Replies of a gateway or proxy on the way instead of Coze's."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from langchain_coze import (
    ChatCoze,
    CozeError,
    CozeInvalidRequestError,
    CozeJWTAuth,
    CozePermissionError,
    CozeRecallRetriever,
    CozeServerError,
    CozeToolkit,
    CozeWorkflowTool,
)
from langchain_coze.local import LocalOAuthApp
from tests.integration_tests.scripted_server import serve_script

PAGE = (
    b"<html>\r\n<head><title>%d Page</title></head>\r\n<body>\r\n<center><h1>%d Page</h1></center>"
    b"\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
APP = LocalOAuthApp()
SIZE = 3_000_000
TEXT = "茶" * (SIZE // 3)
IMAGE = {
    "type": "image",
    "base64": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(SIZE)).decode(),
    "mime_type": "image/png",
}


def make_auth(base_url: str) -> CozeJWTAuth:
    return CozeJWTAuth(
        client_id=APP.client_id,
        private_key=APP.private_key,
        public_key_id=APP.key_id,
        base_url=base_url,
    )


def make_fields(base_url: str) -> Any:
    return {"api_key": "pat_x", "base_url": base_url, "max_retries": 0}


def ask(question: Any = "Hi", **fields: Any) -> Callable[[str], Any]:
    return lambda url: ChatCoze(bot_id="1", **make_fields(url), **fields).invoke(question)


def aask(question: Any = "Hi", **fields: Any) -> Callable[[str], Any]:
    return lambda url: asyncio.run(
        ChatCoze(bot_id="1", **make_fields(url), **fields).ainvoke(question)
    )


def search(url: str) -> Any:
    return CozeRecallRetriever(bot_id="1", **make_fields(url)).invoke("Hi")


def asearch(url: str) -> Any:
    return asyncio.run(CozeRecallRetriever(bot_id="1", **make_fields(url)).ainvoke("Hi"))


def run_tool(**parameters: Any) -> Callable[[str], Any]:
    return lambda url: CozeWorkflowTool(
        workflow_id="1", handle_tool_error=False, **make_fields(url)
    ).invoke(parameters)


def arun_tool(**parameters: Any) -> Callable[[str], Any]:
    return lambda url: asyncio.run(
        CozeWorkflowTool(workflow_id="1", handle_tool_error=False, **make_fields(url)).ainvoke(
            parameters
        )
    )


CALLS: Mapping[str, Callable[[str], Any]] = {
    "invoke": ask(),
    "ainvoke": aask(),
    "poll": ask(response_mode="poll"),
    "apoll": aask(response_mode="poll"),
    "ainvoke on aiohttp": aask(http_backend="aiohttp"),
    "apoll on aiohttp": aask(response_mode="poll", http_backend="aiohttp"),
    "retriever": search,
    "aretriever": asearch,
    "tool": run_tool(),
    "atool": arun_tool(),
    "toolkit": lambda url: CozeToolkit(workspace_id="1", **make_fields(url)).get_tools(),
    "upload": ask([("user", [{"type": "text", "text": "?"}, IMAGE])]),
    "token": lambda url: make_auth(url).token,
    "atoken": lambda url: asyncio.run(make_auth(url).atoken()),
}


def catch(call: Callable[[str], Any], status: int, body: bytes, content_type: str) -> CozeError:
    with (
        serve_script(body, status=status, content_type=content_type) as server,
        pytest.raises(CozeError) as caught,
    ):
        call(server.base_url)
    assert caught.value.status_code == status
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, CozeServerError),
        (502, CozeServerError),
        (503, CozeServerError),
        (504, CozeServerError),
        (522, CozeServerError),
        (403, CozePermissionError),
    ],
)
@pytest.mark.parametrize("name", CALLS)
def test_a_page_of_a_gateway_is_no_error_of_coze(
    name: str, status: int, kind: type[CozeError]
) -> None:
    error = catch(CALLS[name], status, PAGE % (status, status), "text/html")
    assert type(error) is kind
    assert f"Coze answered with HTTP {status}: {status} Page {status} Page nginx" in str(error)
    assert "Hint: A gateway or proxy answered, not Coze" in str(error)
    assert "响应来自中间的网关或代理" in str(error)


def test_an_error_of_coze_itself_keeps_its_hint() -> None:
    body = json.dumps({"code": 5000, "msg": "oh"}).encode()
    error = catch(ask(), 500, body, "application/json")
    assert (error.code, "internal error" in str(error)) == (5000, True)
    body = json.dumps({"code": 4101, "msg": "no permission"}).encode()
    assert "Grant the token the permissions" in str(catch(ask(), 403, body, "application/json"))


@pytest.mark.parametrize("body", [PAGE % (413, 413), b"", b'{"message":"too large"}'])
@pytest.mark.parametrize(
    ("call", "size", "limit"),
    [
        (ask(TEXT), "The request size is 2.9 MB", "up to 15 MB"),
        (aask(TEXT), "The request size is 2.9 MB", "up to 15 MB"),
        (aask(TEXT, http_backend="aiohttp"), "The request size is 2.9 MB", "up to 15 MB"),
        (ask(TEXT, response_mode="poll"), "The request size is 2.9 MB", "up to 15 MB"),
        (run_tool(text=TEXT), "The request size is 2.9 MB", "up to 20 MB"),
        (arun_tool(text=TEXT), "The request size is 2.9 MB", "up to 20 MB"),
        (CALLS["upload"], "The file size is 2.9 MB", "up to 512 MB"),
        (
            aask([("user", [{"type": "text", "text": "?"}, IMAGE])], http_backend="aiohttp"),
            "The file size is 2.9 MB",
            "up to 512 MB",
        ),
        (run_tool(file=bytes(SIZE)), "The file size is 2.9 MB", "up to 512 MB"),
        (arun_tool(file=bytes(SIZE)), "The file size is 2.9 MB", "up to 512 MB"),
    ],
)
def test_a_body_that_is_too_large_has_its_size_and_the_limit(
    call: Callable[[str], Any], size: str, limit: str, body: bytes
) -> None:
    text = str(catch(call, 413, body, "text/html"))
    assert size in text
    assert limit in text
    assert "2.9 MB。" in text


def test_a_file_that_coze_finds_too_large_has_its_size_and_the_limit() -> None:
    body = json.dumps({"code": 4302, "msg": "file too large"}).encode()
    error = catch(CALLS["upload"], 200, body, "application/json")
    assert isinstance(error, CozeInvalidRequestError)
    assert "The file size is 2.9 MB. Coze accepts files of up to 512 MB" in str(error)
