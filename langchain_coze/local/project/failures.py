"""The codes of exceptions (wire 9): from the class name, or else from words in the message."""

from __future__ import annotations

import re
import traceback
from typing import Any, NamedTuple

_BY_CLASS = {
    "ValueError": ("201003", "值错误: "),
    "KeyError": ("105002", "键不存在: "),
    "IndexError": ("105001", "索引越界: "),
    "NameError": ("103001", "名称未定义: "),
    "TypeError": ("102003", "类型错误: "),
    "AttributeError": ("101001", "属性不存在: "),
    "RuntimeError": ("701001", "运行时错误: "),
    "TimeoutError": ("701002", "执行超时: "),
    "RecursionError": ("702002", "递归深度超限: "),
    "APIError": ("301001", "API请求失败: "),
}
_BY_WORDS = (
    ("资源点不足", "604001", "资源点不足: "),
    ("rate limit", "301002", "请求频率限制: "),
)
_MISSING_FIELD = re.compile(r"\n(\w+)\n  Field required")


class Failure(NamedTuple):
    """The end of a run: a code of six digits, or a word, and a message."""

    code: str
    message: str


class FailedRunError(Exception):
    """Ends a run with a given code."""

    def __init__(self, code: object, message: str) -> None:
        """Store the code and the message."""
        super().__init__(message)
        self.failure = Failure(str(code), message)


def classify_error(error: BaseException) -> Failure:
    """Return the code and the message of an exception, as a project reports them."""
    name, text = type(error).__name__, str(error)
    if isinstance(error, FailedRunError):
        return error.failure
    if missing := _MISSING_FIELD.search(text):
        return Failure("201001", f"必填字段缺失: {missing[1]}")
    if name == "ValidationError":
        return Failure("201002", f"字段类型错误: {text[:200]}")
    if name == "AttributeError" and "'NoneType' object" in text:
        return Failure("101004", f"对象为None: {text}")
    found = _BY_CLASS.get(name) or next((row[1:] for row in _BY_WORDS if row[0] in text), None)
    if found is None:
        found = ("900001", "") if name == "Exception" else ("900002", f"({name}): ")
    return Failure(found[0], found[1] + text)


def build_failure_detail(error: BaseException) -> dict[str, Any]:
    """Return the `detail` of a failed `/run`."""
    code, message = classify_error(error)
    lines = "".join(traceback.format_exception(error)).splitlines()
    return {
        "error_code": int(code) if code.isdecimal() else code,
        "error_message": message,
        "stack_trace": [line for line in lines if line.strip()],
    }
