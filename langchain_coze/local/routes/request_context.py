"""What the groups of routes share: the context of a request, and the usual replies.

A group is a class that is created with the `ServerState` and whose `build_routes()` returns
`RouteSpec` items. The groups are listed in `langchain_coze.local.app`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

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


@dataclass
class RequestContext:
    """One request while a route handles it.

    Attributes:
        request: Starlette's request; its body has been read, unless it is multipart.
        path: Path without query.
        query: Query parameters and path parameters.
        body: The decoded JSON; None when the body is empty or not JSON.
        logid: The log id of the reply.
        faults: The faults of the reply.
        owner: The account that sent it; empty on routes without a token.
        profile: The profile of the reply.
    """

    request: Request
    path: str
    query: Mapping[str, str]
    body: Any
    logid: str
    faults: FaultSet
    owner: str
    profile: CloudProfile

    @property
    def json_object(self) -> Mapping[str, Any]:
        """The body, which must be a JSON object.

        Raises:
            ApiError: 4000, it is not.
        """
        if not isinstance(self.body, dict):
            raise ApiError(4000, INVALID_BODY)
        return self.body

    def require_query(self, name: str) -> str:
        """Return a required query parameter.

        Raises:
            ApiError: 4000, it is missing.
        """
        value = self.query.get(name)
        if not value:
            raise ApiError(4000, f"query parameter {name} is required")
        return value

    def read_positive_query(self, name: str, default: int) -> int:
        """Return a query parameter that is a whole number from 1.

        Raises:
            ApiError: 4000, it is not.
        """
        value = self.query.get(name, str(default))
        if not value.isdecimal() or int(value) < 1:
            raise ApiError(4000, f"query parameter {name} must be a whole number from 1")
        return int(value)


Handler: TypeAlias = Callable[[RequestContext], Awaitable[Response]]


class RouteSpec(NamedTuple):
    """One route; a `public` route needs no token of the server."""

    path: str
    methods: list[str]
    handler: Handler
    public: bool = False


class RouteGroup:
    """Routes that belong together.

    Args:
        state: The server's state.
    """

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        self._state = state

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        raise NotImplementedError


def select_page(
    items: list[Any], context: RequestContext, page_size: int, number: str = "page_num"
) -> list[Any]:
    """Return the items of the requested page.

    Args:
        items: All items.
        context: The request.
        page_size: The size of a page, unless the request has one.
        number: The name of the query parameter with the number of the page.
    """
    page_size = min(context.read_positive_query("page_size", page_size), MAX_PAGE_SIZE)
    start = (context.read_positive_query(number, 1) - 1) * page_size
    return items[start : start + page_size]


def build_json_response(value: Any, status: int = 200, *, raw: bool = False) -> Response:
    """Return a JSON response in Go's style; a raw one has `&`, `<` and `>` as they are."""
    text = go_json.dumps_raw(value) if raw else go_json.dumps(value)
    body = text.encode("utf-8", "replace")
    return Response(body, status, media_type="application/json; charset=utf-8")


def build_data_response(data: Any, context: RequestContext) -> Response:
    """Return `data` in the usual envelope (wire 1.4)."""
    return build_json_response(context.profile.build_envelope(data, context.path, context.logid))
