"""LangChain components for Coze (扣子) bots, knowledge bases and workflows.

Example:
    ```python
    from langchain_coze import ChatCoze

    bot = ChatCoze(bot_id="7374724495711502387", api_key="pat_example")
    assert bot.base_url == "https://api.coze.cn"
    ```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_coze._version import __version__

if TYPE_CHECKING:
    from langchain_coze._convert.recall import recalled_documents
    from langchain_coze._doctor import doctor
    from langchain_coze._doctor_report import DoctorCheck, DoctorReport
    from langchain_coze._workflows.workflow_run import WorkflowRun
    from langchain_coze.auth import CozeJWTAuth
    from langchain_coze.bots import BotDescription, BotPart, BotSummary, CozeBots
    from langchain_coze.chat_models import ChatCoze
    from langchain_coze.conversations import (
        CozeConversation,
        CozeConversations,
        asend_feedback,
        send_feedback,
    )
    from langchain_coze.coze_site import ChatCozeSite, CozeSiteTool
    from langchain_coze.errors import (
        CozeAuthenticationError,
        CozeChatError,
        CozeConnectionError,
        CozeContentError,
        CozeContextLengthError,
        CozeConversationBusyError,
        CozeError,
        CozeInvalidRequestError,
        CozeKnowledgeError,
        CozeNotFoundError,
        CozePermissionError,
        CozeQuotaError,
        CozeRateLimitError,
        CozeRecallError,
        CozeServerError,
        CozeStreamError,
        CozeTimeoutError,
        CozeUnknownResultError,
        CozeWorkflowError,
        CozeWorkflowInterrupt,
        is_retryable,
    )
    from langchain_coze.graphs import CozeContext, create_coze_agent, create_workflow_graph
    from langchain_coze.knowledge import CozeKnowledge, KnowledgeDocument
    from langchain_coze.retrievers import CozeRecallRetriever
    from langchain_coze.tools import CozeToolkit, CozeWorkflowTool

__all__ = [
    "BotDescription",
    "BotPart",
    "BotSummary",
    "ChatCoze",
    "ChatCozeSite",
    "CozeAuthenticationError",
    "CozeBots",
    "CozeChatError",
    "CozeConnectionError",
    "CozeContentError",
    "CozeContext",
    "CozeContextLengthError",
    "CozeConversation",
    "CozeConversationBusyError",
    "CozeConversations",
    "CozeError",
    "CozeInvalidRequestError",
    "CozeJWTAuth",
    "CozeKnowledge",
    "CozeKnowledgeError",
    "CozeNotFoundError",
    "CozePermissionError",
    "CozeQuotaError",
    "CozeRateLimitError",
    "CozeRecallError",
    "CozeRecallRetriever",
    "CozeServerError",
    "CozeSiteTool",
    "CozeStreamError",
    "CozeTimeoutError",
    "CozeToolkit",
    "CozeUnknownResultError",
    "CozeWorkflowError",
    "CozeWorkflowInterrupt",
    "CozeWorkflowTool",
    "DoctorCheck",
    "DoctorReport",
    "KnowledgeDocument",
    "WorkflowRun",
    "__version__",
    "asend_feedback",
    "create_coze_agent",
    "create_workflow_graph",
    "doctor",
    "is_retryable",
    "recalled_documents",
    "send_feedback",
]

_MODULES = {
    "BotDescription": "bots",
    "BotPart": "bots",
    "BotSummary": "bots",
    "ChatCoze": "chat_models",
    "ChatCozeSite": "coze_site",
    "CozeConversation": "conversations",
    "CozeBots": "bots",
    "CozeConversations": "conversations",
    "CozeContext": "graphs",
    "CozeJWTAuth": "auth",
    "CozeKnowledge": "knowledge",
    "CozeRecallRetriever": "retrievers",
    "CozeSiteTool": "coze_site",
    "CozeToolkit": "tools",
    "CozeWorkflowTool": "tools",
    "DoctorCheck": "_doctor_report",
    "DoctorReport": "_doctor_report",
    "KnowledgeDocument": "knowledge",
    "WorkflowRun": "_workflows.workflow_run",
    "asend_feedback": "conversations",
    "create_coze_agent": "graphs",
    "create_workflow_graph": "graphs",
    "doctor": "_doctor",
    "recalled_documents": "_convert.recall",
    "send_feedback": "conversations",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first access."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
