"""Defaults from environment variables, and the validation of `base_url` and of an extra."""

from __future__ import annotations

import functools
import importlib
import ipaddress
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from langchain_coze import _hints as hints
from langchain_coze import _site_hints as site_hints

if TYPE_CHECKING:
    from collections.abc import Callable

_SITES = frozenset({"coze.cn", "coze.com"})
_LABEL = r"[\w-]{1,63}"  # one label of a host name
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
DEFAULT_BASE_URL = "https://api.coze.cn"
"""The default server."""

_PROJECT_DOMAIN = "coze.site"
_SITE_EXAMPLE = f"https://abcdefghij.{_PROJECT_DOMAIN}"
_STUDIO_PORT = 8888  # the default port of Coze Studio (wire section 8)


def from_env(*names: str, default: str | None = None) -> Callable[[], Any]:
    """Return a function that reads the first environment variable that is set and not empty."""
    return lambda: next((value for name in names if (value := os.environ.get(name))), default)


def secret_from_env(*names: str) -> Callable[[], SecretStr | None]:
    """Return a function that reads a secret; see `from_env`."""
    read = from_env(*names)
    return lambda: SecretStr(value) if (value := read()) else None


def check_backend(value: Any) -> Any:
    """Return a `http_backend` that can be used.

    Raises:
        ImportError: The package that it needs is missing.
        ValueError: There is no such backend.
    """
    if value == "aiohttp":
        try:
            importlib.import_module("httpx_aiohttp")  # here, so that no call has to wait for it
        except ModuleNotFoundError as error:
            raise ImportError(hints.AIOHTTP_EXTRA) from error
    elif value != "httpx":
        raise ValueError(hints.BACKEND_CHOICE.format(value=value))
    return value


def has_valid_address(url: str) -> bool:
    """Return whether an absolute URL has a valid host name and port."""
    try:
        parts = urlsplit(url)
        return url.isprintable() and " " not in url and parts.port != 0 and _is_host(parts.hostname)
    except ValueError:  # an invalid port or IPv6 address
        return False


def _is_host(host: str | None) -> bool:
    if host is None or ":" in host:
        return host is not None  # `urlsplit` has checked the IPv6 address
    if not host.isascii() or "xn--" in host:
        host.encode("idna").decode("idna")  # raises a UnicodeError, which is a ValueError
    if host.rpartition(".")[2].isdigit():
        ipaddress.IPv4Address(host)  # a numeric last label means IPv4; raises a ValueError
    return _HOST.fullmatch(host) is not None


def _check_url(value: str, example: str) -> str:
    """Return the URL of a server without trailing slashes; see `clean_base_url`."""
    url = value.strip().rstrip("/")
    scheme, _, address = url.partition("://")
    is_valid = scheme.lower() in {"http", "https"} and has_valid_address(url)
    if "@" in address.partition("/")[0] or ("@" in url and not is_valid):
        raise ValueError(hints.URL_CREDENTIALS)  # the value is not quoted: it contains a password
    if "?" in url or "#" in url:
        raise ValueError(hints.URL_QUERY)  # the value is not quoted: a query may contain a key
    if not is_valid:
        raise ValueError(hints.URL_FORM.format(example=example, value=value))
    return url


def clean_base_url(value: str) -> str:
    """Return a base URL without trailing slashes.

    Raises:
        ValueError: The value is not an HTTP or HTTPS URL, has an impossible host or port, contains
            credentials, or cannot be the address of the Coze API: the website, the path of a call,
            or a coze.site project.
    """
    url = _check_url(value, "https://api.coze.cn")
    host, path = str(urlsplit(url).hostname), urlsplit(url).path
    if host.endswith(f".{_PROJECT_DOMAIN}"):
        raise ValueError(hints.URL_OF_PROJECT.format(value=value))
    site = host.removeprefix("www.").removeprefix("api.")
    is_website = site in _SITES and not host.startswith("api.")
    if is_website or (site in _SITES and path) or path.endswith("/v3/chat"):
        address = f"https://api.{site}" if site in _SITES else url.removesuffix("/v3/chat")
        text = hints.URL_OF_WEBSITE if is_website else hints.URL_OF_CALL
        raise ValueError(text.format(value=value, address=address))
    return url


def clean_site_url(value: str) -> str:
    """Return the address of a coze.site project; see `clean_base_url`."""
    if not value or not value.strip():
        raise ValueError(site_hints.URL_MISSING.format(example=_SITE_EXAMPLE))
    url = _check_url(value, _SITE_EXAMPLE)
    parts = urlsplit(url)
    host = str(parts.hostname)
    if is_coze_host(host) or host.removeprefix("www.") == _PROJECT_DOMAIN:
        raise ValueError(site_hints.URL_OF_COZE.format(value=value, example=_SITE_EXAMPLE))
    if parts.path:
        address = url.removesuffix(parts.path)
        raise ValueError(site_hints.URL_PATH.format(value=value, address=address))
    return url


def get_project_name(base_url: str) -> str:
    """Return the name of a coze.site project: its subdomain, or another host unchanged."""
    host = urlsplit(base_url).hostname or ""
    return host.partition(".")[0] if host.endswith(f".{_PROJECT_DOMAIN}") else host


def is_coze_host(host: str) -> bool:
    """Return whether a host is coze.cn, coze.com or a subdomain of them."""
    return any(host == site or host.endswith(f".{site}") for site in _SITES)


@functools.lru_cache(maxsize=64)
def is_studio(server: str, base_url: str) -> bool:
    """Return whether the server is a self-hosted Coze Studio.

    If `server` is `"auto"`, the address decides: coze.cn, coze.com, their subdomains and loopback
    addresses are Coze, except Studio's default port on a loopback address. All others are Studio.
    """
    if server != "auto":
        return server == "studio"
    address = urlsplit(base_url)
    host = (address.hostname or "").removesuffix(".")
    if is_loopback(host):
        return address.port == _STUDIO_PORT
    return not is_coze_host(host)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
