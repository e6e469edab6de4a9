"""A Coze-compatible server on this machine: for development, demos and tests (extra ``local``).

```python
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge

with LocalCoze(LocalBot(knowledge=LocalKnowledge(["Tea grows on hills."]))) as coze:
    print(coze.base_url, coze.token, coze.bots[0].bot_id)
```

`local_coze` and `local_coze_env`, pytest fixtures, can be imported from here too; they alone need
pytest.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_coze.local.app import RecordedRequest
    from langchain_coze.local.bots import LocalBot
    from langchain_coze.local.fault_specs import FAULTS, Fault
    from langchain_coze.local.flows import LocalChatflow
    from langchain_coze.local.knowledge import LocalKnowledge, RecalledChunk
    from langchain_coze.local.oauth import LocalOAuthApp
    from langchain_coze.local.pieces import (
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
    from langchain_coze.local.pytest_plugin import local_coze as local_coze
    from langchain_coze.local.pytest_plugin import local_coze_env as local_coze_env
    from langchain_coze.local.server import LocalCoze
    from langchain_coze.local.turns import Turn, TurnFile
    from langchain_coze.local.workflows.files import FileKind
    from langchain_coze.local.workflows.knowledge import knowledge_workflow
    from langchain_coze.local.workflows.pieces import AskInput, Message, TokenUsage
    from langchain_coze.local.workflows.steps import Output, RunContext
    from langchain_coze.local.workflows.workflow import LocalWorkflow

__all__ = [
    "FAULTS",
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
    "Speech",
    "TokenUsage",
    "Turn",
    "TurnFile",
    "Verbose",
    "knowledge_workflow",
]

# A reply that fails is logged with its traceback, but only for programs that set up logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "FAULTS": "fault_specs",
    "Ask": "pieces",
    "AskInput": "workflows.pieces",
    "Card": "pieces",
    "ClientTool": "pieces",
    "Fail": "pieces",
    "Fault": "fault_specs",
    "FileKind": "workflows.files",
    "FollowUp": "pieces",
    "LocalBot": "bots",
    "LocalChatflow": "flows",
    "LocalCoze": "server",
    "LocalKnowledge": "knowledge",
    "LocalOAuthApp": "oauth",
    "LocalWorkflow": "workflows.workflow",
    "Media": "pieces",
    "Message": "workflows.pieces",
    "NewAnswer": "pieces",
    "Output": "workflows.steps",
    "Pause": "pieces",
    "Reasoning": "pieces",
    "RecalledChunk": "knowledge",
    "RecordedRequest": "app",
    "RunContext": "workflows.steps",
    "ServerTool": "pieces",
    "Speech": "pieces",
    "TokenUsage": "workflows.pieces",
    "Turn": "turns",
    "TurnFile": "turns",
    "Verbose": "pieces",
    "knowledge_workflow": "workflows.knowledge",
    "local_coze": "pytest_plugin",
    "local_coze_env": "pytest_plugin",
}
_EXTRA = frozenset({"starlette", "uvicorn"})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _EXTRA:
            raise ImportError(
                f'{name} needs {package}, which is missing: pip install "langchain-coze[local]"'
                f" / 缺少 {package}，请运行上面的命令安装"
            ) from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
