"""Plugins over MCP, with LangChain's adapter and a server on this machine (docs/en/mcp.md)."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.messages import ToolMessage

from langchain_coze import create_coze_agent
from langchain_coze.local import ClientTool, LocalBot, LocalCoze
from tests.conftest import make_chat, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

uvicorn = pytest.importorskip("uvicorn")
fastmcp = pytest.importorskip("mcp.server.fastmcp")
adapters = pytest.importorskip("langchain_mcp_adapters.client")

TOKEN = "pat_" + "m" * 40
PATH = "/v1/plugins/7402"


class PluginServer:
    """An MCP server at the path of a Coze plugin, which checks the token of each request."""

    def __init__(self) -> None:
        plugin = fastmcp.FastMCP(
            "Weather", streamable_http_path=PATH, stateless_http=True, log_level="WARNING"
        )
        plugin.tool()(get_forecast)
        plugin.tool()(fail)
        self.tokens: list[str] = []
        self._app = plugin.streamable_http_app()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{PATH}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.tokens.append(dict(scope["headers"]).get(b"authorization", b"").decode())
            if self.tokens[-1] != f"Bearer {TOKEN}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body"})
                return
        await self._app(scope, receive, send)

    @contextlib.contextmanager
    def run(self) -> Iterator[PluginServer]:
        server = uvicorn.Server(uvicorn.Config(self, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [self._listener]})
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join()

    def connect(self, token: str = TOKEN) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        connection = {"transport": "streamable_http", "url": self.url, "headers": headers}
        return adapters.MultiServerMCPClient({"weather": connection})


def get_forecast(city: str) -> str:
    """Return tomorrow's weather in a city."""
    return f"{city}: light rain"


def fail() -> str:
    """Fail."""
    raise RuntimeError("no such station")


def guide(question: str) -> Any:
    weather = yield ClientTool(question, {"city": "杭州"} if question == "get_forecast" else {})
    yield f"Answer: {weather}"


coze = serve(LocalBot(guide))


@pytest.fixture(scope="module")
def plugin_server() -> Iterator[PluginServer]:
    with PluginServer().run() as server:
        yield server


async def test_a_plugin_is_a_tool_and_every_request_has_the_token(
    plugin_server: PluginServer,
) -> None:
    plugin_server.tokens.clear()
    tools = await plugin_server.connect().get_tools()
    assert [tool.name for tool in tools] == ["get_forecast", "fail"]
    assert tools[0].description == "Return tomorrow's weather in a city."
    (block,) = await tools[0].ainvoke({"city": "杭州"})
    assert block["text"] == "杭州: light rain"
    assert set(plugin_server.tokens) == {f"Bearer {TOKEN}"}


async def test_a_wrong_token_is_refused(plugin_server: PluginServer) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(httpx.HTTPStatusError, match="401")):
        await plugin_server.connect("pat_wrong").get_tools()


@pytest.mark.parametrize("times", [1, 20])
async def test_a_bot_calls_mcp_tools_as_its_local_plugins(
    coze: LocalCoze, plugin_server: PluginServer, times: int
) -> None:
    tools = await plugin_server.connect().get_tools()
    agent = create_coze_agent(make_chat(coze), tools, name="guide")
    question: Any = {"messages": [("user", "get_forecast")]}
    for state in await agent.abatch([question] * times):
        assert state["messages"][-1].text == "Answer: 杭州: light rain"


async def test_the_bot_hears_of_a_failed_tool(coze: LocalCoze, plugin_server: PluginServer) -> None:
    tools = await plugin_server.connect().get_tools()
    agent = create_coze_agent(make_chat(coze), tools, name="guide")
    state = await agent.ainvoke({"messages": [("user", "fail")]})
    (result,) = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert result.status == "error"
    assert "no such station" in state["messages"][-1].text
