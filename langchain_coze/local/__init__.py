"""A Coze-compatible server on this machine: for development, demos and tests (extra `local`).

```python
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge

with LocalCoze(LocalBot(knowledge=LocalKnowledge(["Tea grows on hills."]))) as coze:
    print(coze.base_url, coze.token, coze.bots[0].bot_id)
```

`LocalSite` is a project of coze.site. The pytest fixtures `local_coze`, `local_coze_env` and
`local_site` can be imported from here too; only they need pytest.

Layers; each imports only from earlier ones: `wire` (requests, replies, events and plain data),
`faults`, the parts of replies and workflows, `runtime` (chats and runs), the public classes (bots,
chatflows, workflows, knowledge, OAuth apps), `routes` and `samples`, `app` and `project`,
`base_server`, `server` and `site`.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_coze.local.bots import LocalBot, LocalChatflow
from langchain_coze.local.extra import MISSING_EXTRA
from langchain_coze.local.faults.specs import FAULTS, SITE_FAULTS, Fault, SiteFault
from langchain_coze.local.knowledge import LocalKnowledge
from langchain_coze.local.knowledge_workflows import knowledge_workflow
from langchain_coze.local.oauth_apps import LocalOAuthApp
from langchain_coze.local.reply_parts import (
    Ask,
    Card,
    ClientTool,
    Fail,
    FollowUp,
    Media,
    NewAnswer,
    Pause,
    Reasoning,
    ServerTool,
    Speech,
    Verbose,
)
from langchain_coze.local.request_log import RecordedRequest
from langchain_coze.local.turn_context import Turn, TurnFile
from langchain_coze.local.wire.recall import RecalledChunk
from langchain_coze.local.workflow_parts import (
    AskInput,
    FileKind,
    Message,
    Output,
    RunContext,
    TokenUsage,
)
from langchain_coze.local.workflows import LocalWorkflow

if TYPE_CHECKING:
    from langchain_coze.local.pytest_plugin import local_coze as local_coze
    from langchain_coze.local.pytest_plugin import local_coze_env as local_coze_env
    from langchain_coze.local.pytest_plugin import local_site as local_site
    from langchain_coze.local.server import LocalCoze
    from langchain_coze.local.site import LocalSite

__all__ = [
    "FAULTS",
    "SITE_FAULTS",
    "Ask",
    "AskInput",
    "Card",
    "ClientTool",
    "Fail",
    "Fault",
    "FileKind",
    "FollowUp",
    "LocalBot",
    "LocalChatflow",
    "LocalCoze",
    "LocalKnowledge",
    "LocalOAuthApp",
    "LocalSite",
    "LocalWorkflow",
    "Media",
    "Message",
    "NewAnswer",
    "Output",
    "Pause",
    "Reasoning",
    "RecalledChunk",
    "RecordedRequest",
    "RunContext",
    "ServerTool",
    "SiteFault",
    "Speech",
    "TokenUsage",
    "Turn",
    "TurnFile",
    "Verbose",
    "knowledge_workflow",
]

# Tracebacks of failed replies are logged, but shown only in programs that configure logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Names whose modules need an extra or pytest.
_LAZY = {
    "LocalCoze": "server",
    "LocalSite": "site",
    "local_coze": "pytest_plugin",
    "local_coze_env": "pytest_plugin",
    "local_site": "pytest_plugin",
}
_EXTRA = frozenset({"starlette", "uvicorn"})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _EXTRA:
            problem = f"{name} needs {package}, which is missing."
            raise ImportError(f"{problem}\n{MISSING_EXTRA}") from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
