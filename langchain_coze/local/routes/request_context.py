"""The context of a request, the usual replies, and the registration of routes.

A group is a class of handlers, each with a `route` above it. `langchain_coze.local.app` lists them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from starlette.responses import Response

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import INVALID_BODY, ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from langchain_coze.local.faults.specs import FaultSet
    from langchain_coze.local.routes.state import ServerState
    from langchain_coze.local.wire.cloud_profile import CloudProfile

MAX_PAGE_SIZE = 50


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """A request that a route is handling."""

    request: Request  # its body has been read, unless it is multipart
    path: str
    query: Mapping[str, str]  # includes the path parameters
    body: Any  # None when it is empty or not JSON
    logid: str
    faults: FaultSet
    owner: str  # empty on routes without a token
    profile: CloudProfile

    @property
    def json_object(self) -> Mapping[str, Any]:
        """The body; error 4000 if it is not a JSON object."""
        if not isinstance(self.body, dict):
            raise ApiError(4000, INVALID_BODY)
        return self.body

    @property
    def optional_object(self) -> Mapping[str, Any]:
        """The body, or an empty object if it is not a JSON object."""
        return self.body if isinstance(self.body, dict) else {}

    def require_query(self, name: str) -> str:
        """Return a query parameter; error 4000 if it is missing."""
        value = self.query.get(name)
        if not value:
            raise ApiError(4000, f"query parameter {name} is required")
        return value

    def read_positive_query(self, name: str, default: int) -> int:
        """Return a positive integer from the query; error 4000 if it is not one."""
        value = self.query.get(name, str(default))
        if not value.isdecimal() or int(value) < 1:
            raise ApiError(4000, f"query parameter {name} must be an integer of at least 1")
        return int(value)

    def select_page(
        self,
        items: list[Any],
        size: int = MAX_PAGE_SIZE,
        *,
        number: str = "page_num",
        max_size: int = MAX_PAGE_SIZE,
    ) -> tuple[list[Any], bool]:
        """Return the items of the requested page, and whether there are more.

        `size` is the default page size, and `number` the name of the parameter with the page
        number.
        """
        size = min(self.read_positive_query("page_size", size), max_size)
        start = (self.read_positive_query(number, 1) - 1) * size
        return items[start : start + size], len(items) > start + size

    def reply(self, data: Any) -> Response:
        """Return `data` in the usual envelope (wire 1.4)."""
        return build_json_response(self.profile.build_envelope(data, self.path, self.logid))

    def reply_plain(self, value: Any, status: int = 200, *, raw: bool = False) -> Response:
        """Return JSON without an envelope."""
        return build_json_response(value, status, raw=raw)


Handler: TypeAlias = Callable[[RequestContext], Awaitable[Response]]
MethodT = TypeVar("MethodT", bound=Callable[..., Awaitable[Response]])


class RouteSpec(NamedTuple):
    """One route; a `public` route does not require a token of the server."""

    path: str
    methods: list[str]
    handler: Handler
    public: bool = False


class _Registration(NamedTuple):
    """The path of a handler, its HTTP methods by profile, and whether it is public."""

    path: str
    methods: Mapping[str, str]
    public: bool


_REGISTRATIONS: dict[str, list[_Registration]] = {}


def route(
    path: str, cloud: str = "", studio: str = "", *, public: bool = False
) -> Callable[[MethodT], MethodT]:
    """Register a method of a `RouteGroup` for a path and its HTTP methods, such as `"GET POST"`."""

    def register(method: MethodT) -> MethodT:
        entry = _Registration(path, {"cloud": cloud, "studio": studio}, public)
        _REGISTRATIONS.setdefault(method.__qualname__, []).append(entry)
        return method

    return register


class RouteGroup:
    """Routes that belong together."""

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        self._state = state

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes that exist in the server's profile."""
        return [
            RouteSpec(entry.path, methods.split(), getattr(self, name), entry.public)
            for name, member in vars(type(self)).items()
            for entry in _REGISTRATIONS.get(getattr(member, "__qualname__", ""), ())
            if (methods := entry.methods[self._state.profile.name])
        ]


def build_json_response(value: Any, status: int = 200, *, raw: bool = False) -> Response:
    """Return a JSON response in Go's style; `raw` does not escape `&`, `<` and `>`."""
    text = go_json.dumps_raw(value) if raw else go_json.dumps(value)
    body = text.encode("utf-8", "replace")
    return Response(body, status, media_type="application/json; charset=utf-8")
