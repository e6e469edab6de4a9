"""JSON in the format of Coze's Go services.

Go's encoder keeps non-ASCII text, adds no spaces, and escapes five characters that are unsafe in
HTML or JavaScript, so the bytes never contain a bare `&` or `<`. Payloads nested as strings are
encoded at every level before they are embedded.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNSAFE_PATTERN = re.compile("[&<>\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dumps(value: Any) -> str:
    r"""Encode `value` as one line of compact JSON in Go's style (wire appendix B).

    `&`, `<`, `>`, U+2028 and U+2029 become `\uXXXX`; a lone surrogate becomes U+FFFD, as in Go.
    """
    text = dumps_raw(value)
    if _UNSAFE_PATTERN.search(text):
        text = _UNSAFE_PATTERN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def dumps_raw(value: Any) -> str:
    """Encode `value` without escaping `&`, `<` and `>`.

    Coze uses this for plain replies of workflow runs, and Studio for workflow streams.
    """
    text = _encoder.encode(value)
    if not text.isascii() and _SURROGATE.search(text):
        text = _SURROGATE.sub("\ufffd", text)
    return text


def loads(text: str) -> Any:
    """Return the decoded JSON, or None if the text is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
