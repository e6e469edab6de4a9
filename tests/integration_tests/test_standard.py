"""LangChain's own integration suites, over a socket to the local server.

`tests/standard_suite.py` says what is skipped, and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
)
from pydantic import BaseModel

from langchain_coze import ChatCozeSite, CozeRecallRetriever, CozeSiteTool, CozeWorkflowTool
from langchain_coze.local import (
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalWorkflow,
    Reasoning,
    knowledge_workflow,
)
from tests.integration_tests.scripted_server import serve_script
from tests.integration_tests.site_server import run_site
from tests.site_recordings import read_site_reply
from tests.standard_suite import CozeCapabilities

pytestmark = pytest.mark.filterwarnings("ignore:.*is set on the bot in Coze.*")


def _thinks(question: str) -> Iterator[str | Reasoning]:
    yield Reasoning("A greeting. ")
    yield Reasoning("I greet back.")
    yield from ("Hello", ", ", "you said: ", question)


BOTS = (LocalBot(_thinks, name="one"), LocalBot(_thinks, name="two"))


class TestChatCozeIntegration(CozeCapabilities, ChatModelIntegrationTests):
    coze: LocalCoze

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls) -> Iterator[None]:
        with LocalCoze(BOTS) as cls.coze:
            yield

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "bot_id": BOTS[0].bot_id,
            "api_key": self.coze.token,
            "base_url": self.coze.base_url,
        }

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}  # temperature and the like are set on the bot; the unit suite passes them

    @property
    def returns_usage_metadata(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return BOTS[1].bot_id


BASE = LocalKnowledge([f"Tea number {n} grows on hills." for n in range(5)], name="tea", k=5)
SEARCHED = LocalBot(_thinks, name="searched", knowledge=BASE)
FLOW = knowledge_workflow(BASE)


class _RetrieverSuite(RetrieversIntegrationTests):
    coze: LocalCoze

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls) -> Iterator[None]:
        with LocalCoze(SEARCHED, workflows=FLOW) as cls.coze:
            yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return CozeRecallRetriever

    @property
    def retriever_query_example(self) -> str:
        return "Where does tea grow?"


class TestRetrieverOfABot(_RetrieverSuite):
    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {
            "bot_id": SEARCHED.bot_id,
            "api_key": self.coze.token,
            "base_url": self.coze.base_url,
        }


class TestRetrieverOfAWorkflow(_RetrieverSuite):
    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {
            "workflow_id": FLOW.workflow_id,
            "api_key": self.coze.token,
            "base_url": self.coze.base_url,
        }


def book(city: str, nights: int = 1) -> dict[str, str]:
    """Book a room."""
    return {"booked": f"{nights} nights in {city}"}


class StayModel(BaseModel):
    """Book a room."""

    city: str
    nights: int = 1


ROOM = LocalWorkflow(book)


class _ToolIntegrationSuite(ToolsIntegrationTests):
    coze: LocalCoze
    run_mode = "auto"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls) -> Iterator[None]:
        with LocalCoze(SEARCHED, workflows=ROOM) as cls.coze:
            yield

    @property
    def fields(self) -> dict[str, Any]:
        return {
            "workflow_id": ROOM.workflow_id,
            "run_mode": self.run_mode,
            "poll_interval": 0.02,
            "api_key": self.coze.token,
            "base_url": self.coze.base_url,
        }

    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        return CozeWorkflowTool.from_workflow(**self.fields)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"city": "杭州", "nights": 2}


class TestToolThatStreams(_ToolIntegrationSuite):
    pass


class TestToolThatWaits(_ToolIntegrationSuite):
    run_mode = "sync"


class TestToolThatPolls(_ToolIntegrationSuite):
    run_mode = "async"


class TestToolWithAModel(_ToolIntegrationSuite):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return CozeWorkflowTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {**self.fields, "args_schema": StayModel}


class _SiteSuite(CozeCapabilities, ChatModelIntegrationTests):
    response_mode = "stream"
    base_url: str

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls) -> Iterator[None]:
        with run_site() as site:
            cls.base_url = site.base_url
            yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatCozeSite

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "api_key": "eyJtoken0000",
            "response_mode": self.response_mode,
            "poll_interval": 0.02,
        }

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}  # temperature and the like are set in the project

    @property
    def returns_usage_metadata(self) -> bool:
        return self.response_mode != "stream"  # a stream reports zeros

    @property
    def supports_model_override(self) -> bool:
        return False  # the address is the model


class TestSiteThatStreams(_SiteSuite):
    pass


class TestSiteThatRuns(_SiteSuite):
    response_mode = "run"


class TestSiteThatPolls(_SiteSuite):
    response_mode = "async"


class _SiteToolSuite(ToolsIntegrationTests):
    run_mode = "run"
    base_url: str

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _server(cls) -> Iterator[None]:
        names = {
            "/graph_parameter": "16b_graph_parameter_wf",
            "/run": "13_wf_run",
            "/stream_run": "10b_wf_stream_debug",
        }
        replies = {path: [read_site_reply(name)] for path, name in names.items()}
        with serve_script(raw_replies=replies) as server:
            cls.base_url = server.base_url
            yield

    @property
    def tool_constructor(self) -> type[BaseTool] | BaseTool:
        fields: dict[str, Any] = {"run_mode": self.run_mode, "api_key": "eyJtoken0000"}
        return CozeSiteTool.from_site(self.base_url, **fields)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"a": 1, "b": 2}


class TestSiteToolThatRuns(_SiteToolSuite):
    pass


class TestSiteToolThatStreams(_SiteToolSuite):
    run_mode = "stream"
