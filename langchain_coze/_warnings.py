"""Warnings that point at the user's line, not at one of LangChain's or ours."""

from __future__ import annotations

import sys
import warnings

_LIBRARIES = ("langchain_coze", "langchain_core", "langgraph", "pydantic", "asyncio", "concurrent")


def warn_user(message: str) -> None:
    """Warn with a `UserWarning` at the innermost line that belongs to no library on the way.

    Args:
        message: What the user should know.
    """
    level = 1
    frame = sys._getframe(1)  # noqa: SLF001 - what `warnings` itself walks
    while frame.f_back is not None and _is_library(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, stacklevel=level + 1)


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES and not module.startswith("langchain_coze.local")
