"""The proxy on the way to a server: from the environment, or of a user-supplied client."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from langchain_coze._environment import has_valid_address
from langchain_coze.errors import CozeInvalidRequestError, bilingual_hint

if TYPE_CHECKING:
    from langchain_coze._api.settings import Settings

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREDENTIALS = re.compile(r"^([^/@]*://)?.*@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy.

    Attributes:
        url: Its address, which may contain a user name and a password.
        source: Where it comes from: an environment variable, or the settings of the system.
    """

    url: str = field(repr=False)
    source: str

    def hide_credentials(self) -> str:
        """Return the address without user name and password."""
        return _CREDENTIALS.sub(r"\1***@", self.url)


def find_proxy(base_url: str) -> Proxy | None:
    """Return the proxy for a server, or None; never one for a loopback address.

    Args:
        base_url: The server.
    """
    host = urlsplit(base_url).hostname or ""
    return None if host in _LOOPBACK or proxy_bypass(host) else _find_set_proxy(base_url)


def _find_set_proxy(base_url: str) -> Proxy | None:
    """Return the proxy that is set for the scheme of a server, whatever its host."""
    proxies = getproxies()
    for name in (urlsplit(base_url).scheme, "all"):
        url = proxies.get(name)
        if url:
            source = _find_variable(f"{name}_proxy") or "the proxy settings of this system"
            return Proxy(url if "://" in url else f"http://{url}", source)
    return None


def _find_variable(name: str) -> str | None:
    """Return the environment variable with this name in any case; lower case takes precedence."""
    names = [variable for variable in os.environ if variable.lower() == name]
    return max(names, key=str.islower, default=None)


def require_usable(proxy: Proxy) -> None:
    """Raise if a proxy cannot be used.

    Args:
        proxy: A proxy from the environment.

    Raises:
        CozeInvalidRequestError: Its address is invalid, or it needs a package that is missing.
    """
    shown = f"{proxy.source}={proxy.hide_credentials()!r}"
    scheme = proxy.url.partition("://")[0].lower()
    if scheme not in _SCHEMES or not has_valid_address(proxy.url):
        raise CozeInvalidRequestError(
            f"{shown} is not the address of a proxy that can be used.",
            hint=bilingual_hint(
                f"Set {proxy.source} to http://host:port, https://host:port or socks5://host:port, "
                "or unset it; NO_PROXY lists hosts that need no proxy.",
                f"请将 {proxy.source} 设为 http://host:port、https://host:port 或 "
                "socks5://host:port，或取消设置；NO_PROXY 可列出不经代理的主机。",
            ),
        )
    if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise CozeInvalidRequestError(
            f"{shown} is a SOCKS proxy, which httpx needs socksio for.",
            hint=bilingual_hint(
                f'Install it: pip install "httpx[socks]", or unset {proxy.source}.',
                f'请安装：pip install "httpx[socks]"，或取消 {proxy.source}。',
            ),
        )


# --- The way to a server, for errors -------------------------------------------------------------


class Route(NamedTuple):
    """How a request reaches its server, in words for an error.

    Attributes:
        address: Host and port of the server.
        proxy: A clause about the proxy, or that there is none.
        hint: What to check.
    """

    address: str
    proxy: str
    hint: str


_CHECK_ADDRESS = bilingual_hint(
    "Check the network, the proxy settings and base_url.", "请检查网络、代理设置和 base_url。"
)


def describe_route(settings: Settings, client: Any = None) -> Route:
    """Return how the requests to a server reach it. Never shows credentials.

    Args:
        settings: How to reach the server.
        client: The user-supplied client that sends the requests, or None.
    """
    base_url = settings.base_url
    address = _format_address(base_url)
    if client is not None:
        return Route(address, _describe_client_proxy(client, base_url), _CHECK_ADDRESS)
    proxy = find_proxy(base_url)
    if proxy is not None:
        host = address.rpartition(":")[0]
        hint = bilingual_hint(
            f"Check that the proxy runs and that {proxy.source} is right, or add {host} to "
            "NO_PROXY; check the network and base_url.",
            f"请检查代理是否可用、{proxy.source} 是否正确，或将 {host} 加入 NO_PROXY；"
            "并检查网络和 base_url。",
        )
        return Route(address, f"through the proxy {_format_proxy(proxy.url, proxy.source)}", hint)
    return Route(address, f"without a proxy{_explain_exception(base_url)}", _CHECK_ADDRESS)


def _explain_exception(base_url: str) -> str:
    """Return why the proxy that is set is not used for a server; empty if none is set."""
    proxy = _find_set_proxy(base_url)
    if proxy is None:
        return ""
    if urlsplit(base_url).hostname in _LOOPBACK:
        return f" ({proxy.source} does not apply to this machine)"
    return f" ({_find_variable('no_proxy') or 'the system'} exempts this host)"


def _describe_client_proxy(client: Any, base_url: str) -> str:
    """Return a clause about the proxy of a user-supplied client, as far as it can be seen."""
    try:
        address = client.build_request("GET", base_url).url
        transport = client._transport_for_url(address)  # noqa: SLF001 - httpx has no public way
        url = getattr(transport._pool, "_proxy_url", None)  # noqa: SLF001 - same
    except Exception:  # noqa: BLE001 - another version, or another transport
        return "with your own HTTP client, whose proxy is not known"
    if url is None:
        return "with your own HTTP client, without a proxy"
    host = url.host.decode()
    proxy = f"{url.scheme.decode()}://{f'[{host}]' if ':' in host else host}:{url.port}"
    found = _find_set_proxy(base_url)
    is_from_environment = found is not None and _format_proxy(found.url) == proxy
    source = found.source if found is not None and is_from_environment else "set on the client"
    return f"with your own HTTP client, through the proxy {proxy} ({source})"


def _format_address(url: str) -> str:
    """Return host and port of a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 1080)
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def _format_proxy(url: str, source: str = "") -> str:
    """Return a proxy without its credentials, with where it comes from."""
    shown = f"{urlsplit(url).scheme}://{_format_address(url)}"
    return f"{shown} ({source})" if source else shown
