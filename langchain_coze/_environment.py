"""What a user's environment says, and the address of a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_BASE_URL = "https://api.coze.cn"
"""The server when none is named."""


def from_env(*names: str, default: str | None = None) -> Callable[[], Any]:
    """Return what reads the first of some environment variables that is set and not empty.

    Args:
        *names: The variables.
        default: What counts when none is.
    """
    return lambda: next((value for name in names if (value := os.environ.get(name))), default)


def secret_from_env(*names: str) -> Callable[[], SecretStr | None]:
    """Return what reads a secret as `from_env` reads text."""
    read = from_env(*names)
    return lambda: SecretStr(value) if (value := read()) else None


def clean_base_url(value: str) -> str:
    """Return the address of a server without a slash at its end.

    Args:
        value: What a user gives as `base_url`.

    Raises:
        ValueError: It is no address.
    """
    url = value.strip().rstrip("/")
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError(
            f"base_url must be an address like https://api.coze.cn, not {value!r}. "
            "base_url 应为 https://api.coze.cn 这样的地址。"
        )
    return url
