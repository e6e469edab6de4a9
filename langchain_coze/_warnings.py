"""Warnings that point to the user's code instead of LangChain or this package."""

from __future__ import annotations

import sys
import warnings

_LIBRARIES = ("langchain_coze", "langchain_core", "langgraph", "pydantic", "asyncio", "concurrent")


def warn_user(message: str) -> None:
    """Issue a one-line `UserWarning` that points to the innermost line outside `_LIBRARIES`."""
    level = 1
    frame = sys._getframe(1)  # noqa: SLF001 - `warnings` counts the same frames
    while frame.f_back is not None and _is_library(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    warnings.warn(message.replace("\n", " "), stacklevel=level + 1)


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES and not module.startswith("langchain_coze.local")
