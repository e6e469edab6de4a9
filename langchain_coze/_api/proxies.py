"""The proxy for a server, from the environment or from a user-supplied client."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from langchain_coze import _hints as hints
from langchain_coze._environment import has_valid_address
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from langchain_coze._api.settings import Settings

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREDENTIALS = re.compile(r"^([^/@]*://)?.*@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and its source: an environment variable or the system settings."""

    url: str = field(repr=False)  # may contain a password
    source: str


def find_proxy(base_url: str) -> Proxy | None:
    """Return the proxy for a server, or None; loopback addresses never have one."""
    host = urlsplit(base_url).hostname or ""
    return None if host in _LOOPBACK or proxy_bypass(host) else _find_set_proxy(base_url)


def _find_set_proxy(base_url: str) -> Proxy | None:
    """Return the proxy for the scheme of a server, ignoring its host."""
    proxies = getproxies()
    for name in (urlsplit(base_url).scheme, "all"):
        url = proxies.get(name)
        if url:
            source = _find_variable(f"{name}_proxy") or "the system proxy settings"
            return Proxy(url if "://" in url else f"http://{url}", source)
    return None


def _find_variable(name: str) -> str | None:
    """Return the environment variable with this name in any case; lower case takes precedence."""
    names = [variable for variable in os.environ if variable.lower() == name]
    return max(names, key=str.islower, default=None)


def require_usable(proxy: Proxy) -> None:
    """Raise if the address of a proxy is invalid, or if a required package is missing."""
    address = _CREDENTIALS.sub(r"\1***@", proxy.url)
    setting = f"{proxy.source}={address!r}"
    scheme = proxy.url.partition("://")[0].lower()
    if scheme not in _SCHEMES or not has_valid_address(proxy.url):
        raise CozeInvalidRequestError(
            f"{setting} is not a valid proxy address.",
            hint=hints.PROXY_ADDRESS.format(source=proxy.source),
        )
    if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise CozeInvalidRequestError(
            f"{setting} is a SOCKS proxy, which requires the package socksio.",
            hint=hints.SOCKS.format(source=proxy.source),
        )


# --- The route to a server, for errors
# -------------------------------------------------------------


def describe_route(settings: Settings, client: Any = None) -> tuple[str, str]:
    """Return the route to a server, for instance "host:443, without a proxy", and a hint.

    The route contains no credentials. `client` is the user-supplied client, if any.
    """
    base_url = settings.base_url
    address = _format_address(base_url)
    if client is not None:
        return f"{address}, {describe_client_proxy(client, base_url)}", hints.UNREACHABLE
    proxy = find_proxy(base_url)
    if proxy is None:
        return f"{address}, without a proxy{_explain_exception(base_url)}", hints.UNREACHABLE
    host = address.rpartition(":")[0]
    hint = hints.UNREACHABLE_BY_PROXY.format(source=proxy.source, host=host)
    return f"{address}, through the proxy {format_proxy(proxy.url)} ({proxy.source})", hint


def _explain_exception(base_url: str) -> str:
    """Return why the configured proxy is not used for a server; empty if there is none."""
    proxy = _find_set_proxy(base_url)
    if proxy is None:
        return ""
    if urlsplit(base_url).hostname in _LOOPBACK:
        return f" ({proxy.source} does not apply to this machine)"
    return f" ({_find_variable('no_proxy') or 'the system'} exempts this host)"


def describe_client_proxy(client: Any, base_url: str) -> str:
    """Return a clause about the proxy of a user-supplied client."""
    try:
        address = client.build_request("GET", base_url).url
        transport = client._transport_for_url(address)  # noqa: SLF001 - httpx has no public API for it
        url = getattr(transport._pool, "_proxy_url", None)  # noqa: SLF001 - same
    except Exception:  # noqa: BLE001 - another version, or another transport
        return "with your own HTTP client, whose proxy is unknown"
    if url is None:
        return "with your own HTTP client, without a proxy"
    host = url.host.decode()
    proxy = f"{url.scheme.decode()}://{f'[{host}]' if ':' in host else host}:{url.port}"
    environment = _find_set_proxy(base_url)
    is_same = environment is not None and format_proxy(environment.url) == proxy
    source = environment.source if environment is not None and is_same else "set on the client"
    return f"with your own HTTP client, through the proxy {proxy} ({source})"


def _format_address(url: str) -> str:
    """Return host and port of a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 1080)
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def format_proxy(url: str) -> str:
    """Return the address of a proxy without its credentials."""
    return f"{urlsplit(url).scheme}://{_format_address(url)}"
