"""The routes of the Coze API that a local server answers."""

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from langchain_coze.local import gojson
from langchain_coze.local.bots import LocalBot
from langchain_coze.local.chat import ChatRun
from langchain_coze.local.chat_request import (
    ChatRequest,
    read_chat_request,
    read_messages,
    read_meta_data,
)
from langchain_coze.local.fault_specs import Fault, FaultPlan, read_faults
from langchain_coze.local.ids import new_logid, stable_id
from langchain_coze.local.problems import Problem, http_status
from langchain_coze.local.profiles import CloudProfile
from langchain_coze.local.store import Conversation, SavedTurn, Store
from langchain_coze.local.streams import Connections, Dropped, EventStream

__all__ = ["LocalApp", "RecordedRequest", "Settings"]

logger = logging.getLogger(__name__)

_LARGEST_BODY = 15 * 1024 * 1024
_LONGEST_NAME = 100
_LARGEST_PAGE = 50
_OWNER_ID = stable_id("owner", "local")
_WORKSPACE_ID = stable_id("workspace", "local")
_FAULT_HEADER = "x-local-fault"


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the server received.

    Attributes:
        method: ``GET`` or ``POST``.
        path: Without query.
        query: Query parameters.
        headers: Headers, their names in lower case.
        body: The decoded JSON; None when there was none, or it was not JSON.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Settings(Protocol):
    """What the routes read from their `LocalCoze`, at each request anew."""

    bots: tuple[LocalBot, ...]
    token: str
    error_status: str
    quota: int | None
    faults: str | Sequence[str]


@dataclass
class _Call:
    """One request on its way through a route."""

    path: str
    query: Mapping[str, str]
    body: Any
    logid: str
    plan: FaultPlan

    @property
    def json_object(self) -> Mapping[str, Any]:
        if not isinstance(self.body, dict):
            raise Problem(4000, "the request body must be a JSON object")
        return self.body

    def required(self, name: str) -> str:
        """A query parameter that must be there."""
        value = self.query.get(name)
        if not value:
            raise Problem(4000, f"query parameter {name} is required")
        return value

    def number(self, name: str, default: int) -> int:
        """A query parameter that counts from 1."""
        value = self.query.get(name, str(default))
        if not value.isdecimal() or int(value) < 1:
            raise Problem(4000, f"query parameter {name} must be a whole number from 1")
        return int(value)


Handler: TypeAlias = Callable[[_Call], Awaitable[Response]]


class LocalApp:
    """The application behind a `LocalCoze`; lives in one event loop.

    Args:
        settings: Bots, token and switches.
        requests: Where requests are recorded.
        profile: The wire shapes to write.
    """

    def __init__(
        self, settings: Settings, requests: deque[RecordedRequest], profile: CloudProfile
    ) -> None:
        """Build the routes."""
        self.settings = settings
        self.connections = Connections()
        self.runs: set[asyncio.Task[None]] = set()
        self.used: Counter[str] = Counter()
        self._requests = requests
        self._profile = profile
        self._store = Store()
        self.asgi = Starlette(
            routes=self._routes(), exception_handlers={HTTPException: self._no_route}
        )

    def _routes(self) -> list[Route]:
        table: list[tuple[str, list[str], Handler]] = [
            ("/v3/chat", ["POST"], self._chat),
            # The docs GET it, the official Python and JavaScript SDKs POST it (wire 2.8).
            ("/v3/chat/retrieve", ["GET", "POST"], self._retrieve),
            ("/v3/chat/message/list", ["GET"], self._list_messages),
            ("/v3/chat/cancel", ["POST"], self._cancel),
            ("/v1/conversation/create", ["POST"], self._create_conversation),
            ("/v1/conversation/retrieve", ["GET"], self._retrieve_conversation),
            ("/v1/bots", ["GET"], self._list_bots),
            ("/v1/bots/{bot_id}", ["GET"], self._retrieve_bot),
            # The older twins of the two above; the official Python SDK still calls them first.
            ("/v1/space/published_bots_list", ["GET"], self._list_published_bots),
            ("/v1/bot/get_online_info", ["GET"], self._retrieve_bot),
            ("/v1/workspaces", ["GET"], self._list_workspaces),
            ("/v1/users/me", ["GET"], self._me),
        ]
        return [
            Route(path, self._endpoint(handler), methods=verbs) for path, verbs, handler in table
        ]

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            logid = new_logid()
            try:
                response = await self._answer(request, handler, logid)
            except Problem as problem:
                response = self._problem(problem, logid)
            except ClientDisconnect:
                response = Response()
            except asyncio.CancelledError:
                # The server stops. uvicorn would report the cancellation as a fault of ours.
                response = Dropped(self.connections)
            except Exception as error:
                logger.exception("%s %s failed", request.method, request.url.path)
                response = self._problem(Problem(5000, f"{type(error).__name__}: {error}"), logid)
            response.headers["X-Tt-Logid"] = logid
            return response

        return endpoint

    async def _answer(self, request: Request, handler: Handler, logid: str) -> Response:
        path, query, headers = request.url.path, dict(request.query_params), dict(request.headers)
        body = await _read_json(request)
        self._requests.append(RecordedRequest(request.method, path, query, headers, body))
        if headers.get("authorization") != f"Bearer {self.settings.token}":
            raise Problem(4100)
        plan = self._plan(path, headers, body)
        query |= request.path_params
        instead = await self._reply_fault(plan)
        return instead or await handler(_Call(path, query, body, logid, plan))

    # Faults -----------------------------------------------------------------------------------

    def _plan(self, path: str, headers: Mapping[str, str], body: Any) -> FaultPlan:
        """The faults that hit this request: the server's, the bot's, and those it asks for."""
        try:
            sources = {"server": read_faults(self.settings.faults)}
            if isinstance(body, dict) and (bot := self._find_bot(body.get("bot_id"))):
                sources[bot.bot_id] = read_faults(bot.faults)
            if _FAULT_HEADER in headers:
                sources["header"] = read_faults(headers[_FAULT_HEADER])
        except ValueError as error:
            raise Problem(4000, str(error)) from None
        values: dict[Fault, str] = {}
        for source, plan in sources.items():
            if plan.values and plan.hits(path) and self._still_hits(f"{source} {plan.text}", plan):
                values |= plan.values
        return FaultPlan({f: v for f, v in values.items() if f not in {Fault.TIMES, Fault.ON}})

    def _still_hits(self, key: str, plan: FaultPlan) -> bool:
        self.used[key] += 1
        return plan.times is None or self.used[key] <= plan.times

    async def _reply_fault(self, plan: FaultPlan) -> Response | None:
        faults = plan.values
        if Fault.SLOW_START in faults:
            await asyncio.sleep(float(faults[Fault.SLOW_START]))
        if Fault.ERROR in faults:
            raise Problem(int(faults[Fault.ERROR]))
        if Fault.HTTP_502 in faults:
            page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Response(page, 502, media_type="text/html")
        if Fault.HTTP_429 in faults:
            wait = {"Retry-After": faults[Fault.HTTP_429]}
            return Response("Too Many Requests", 429, wait, "text/plain")
        if Fault.CLOSE in faults:
            return Dropped(self.connections)
        if Fault.EMPTY_BODY in faults:
            return Response(b"", media_type="application/json; charset=utf-8")
        return None

    # Chats ------------------------------------------------------------------------------------

    async def _chat(self, call: _Call) -> Response:
        request = read_chat_request(call.json_object)
        bot = self._bot(request.bot_id)
        if not bot.published and request.publish_status != "unpublished_draft":
            raise Problem(4015)
        self._count_chat(bot)
        conversation = self._conversation_for(call, request)
        run = ChatRun(bot, request, conversation, self._profile)
        if request.auto_save_history:
            self._store.add_chat(run)
        task = asyncio.create_task(run.execute())
        self.runs.add(task)
        task.add_done_callback(self.runs.discard)
        if request.stream:
            return EventStream(run.outbox, self._profile, call.plan, self.connections)
        created = run.as_json("in_progress")
        short = {k: created[k] for k in created if k not in {"usage", "section_id", "meta_data"}}
        return _json({"data": short, "code": 0, "msg": ""})

    def _conversation_for(self, call: _Call, request: ChatRequest) -> Conversation:
        messages, asked_for = request.additional_messages, call.query.get("conversation_id")
        if messages and messages[-1].role != "user":
            raise Problem(4000, "the last of additional_messages must have the role user")
        conversation = self._store.conversation(asked_for) if asked_for else Conversation()
        if not messages and not conversation.history:
            raise Problem(4000, "additional_messages is empty and the conversation has no messages")
        if conversation.running is not None:
            raise Problem(4016)
        return conversation if asked_for else self._store.add_conversation(conversation)

    def _count_chat(self, bot: LocalBot) -> None:
        for key, quota in (("chats", self.settings.quota), (f"chats {bot.bot_id}", bot.quota)):
            if quota is not None and self.used[key] >= quota:
                raise Problem(4028)
        self.used["chats"] += 1
        self.used[f"chats {bot.bot_id}"] += 1

    async def _retrieve(self, call: _Call) -> Response:
        run = self._store.chat(call.required("conversation_id"), call.required("chat_id"))
        return _ok(run.as_json(), call)

    async def _list_messages(self, call: _Call) -> Response:
        run = self._store.chat(call.required("conversation_id"), call.required("chat_id"))
        return _ok(run.listed_messages(), call)

    async def _cancel(self, call: _Call) -> Response:
        body = call.json_object
        run = self._store.chat(str(body.get("conversation_id")), str(body.get("chat_id")))
        if not run.running:
            raise Problem(4104)
        run.cancel()
        # As in the API's own sample (wire 2.8), save that last_error.code is null there: the
        # official Python SDK refuses that, and no recording shows it.
        return _ok(run.as_json() | {"failed_at": None, "usage": {}}, call)

    # Conversations ----------------------------------------------------------------------------

    async def _create_conversation(self, call: _Call) -> Response:
        body = call.body if isinstance(call.body, dict) else {}
        name = body.get("name") or ""
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise Problem(4000, f"name must be a string of at most {_LONGEST_NAME} characters")
        if body.get("bot_id"):
            self._bot(str(body["bot_id"]))
        meta_data = read_meta_data(body.get("meta_data"))
        conversation = Conversation(name=name, meta_data=meta_data)
        if messages := read_messages(body.get("messages"), saved=True):
            conversation.turns.append(SavedTurn(list(messages)))
        self._store.add_conversation(conversation)
        return _ok(conversation.as_json(_OWNER_ID), call)

    async def _retrieve_conversation(self, call: _Call) -> Response:
        conversation = self._store.conversation(call.required("conversation_id"))
        return _ok(conversation.as_json(_OWNER_ID), call)

    # What is served ---------------------------------------------------------------------------

    async def _retrieve_bot(self, call: _Call) -> Response:
        bot = self._bot(call.required("bot_id"))
        if not bot.published and call.query.get("is_published", "true").lower() != "false":
            raise Problem(4015)
        return _ok(bot.as_json(), call)

    async def _list_bots(self, call: _Call) -> Response:
        _check_workspace(call.required("workspace_id"))
        wanted = call.query.get("publish_status") or "published_online"
        bots = [
            bot
            for bot in self.settings.bots
            if wanted == "all" or bot.published == (wanted != "unpublished_draft")
        ]
        page = _page(bots, call, 20)
        items = [bot.as_list_item(_OWNER_ID) for bot in page]
        return _ok({"items": items, "total": len(bots)}, call)

    async def _list_published_bots(self, call: _Call) -> Response:
        _check_workspace(call.required("space_id"))
        bots = [bot for bot in self.settings.bots if bot.published]
        items = [bot.as_published_item() for bot in _page(bots, call, 20, number="page_index")]
        return _ok({"space_bots": items, "total": len(bots)}, call)

    async def _list_workspaces(self, call: _Call) -> Response:
        workspace = {
            "id": _WORKSPACE_ID,
            "name": "Local Coze",
            "icon_url": "",
            "role_type": "owner",
            "workspace_type": "personal",
            "enterprise_id": "",
        }
        page = _page([workspace], call, 20)
        return _ok({"workspaces": page, "total_count": 1}, call)

    async def _me(self, call: _Call) -> Response:
        user = {"user_id": _OWNER_ID, "user_name": "local", "nick_name": "Local", "avatar_url": ""}
        return _ok(user, call)

    # Helpers ----------------------------------------------------------------------------------

    def _find_bot(self, bot_id: Any) -> LocalBot | None:
        return next((bot for bot in self.settings.bots if bot.bot_id == bot_id), None)

    def _bot(self, bot_id: str) -> LocalBot:
        """Find a bot.

        An id of the wrong form is an invalid bot (4006); one of the right form that nobody has is a
        resource that was not found (4200). The hosted service's own choice is not documented.
        """
        bot = self._find_bot(bot_id)
        if bot is None:
            known = 4200 if bot_id.isdecimal() else 4006
            raise Problem(known, f"bot_id {bot_id!r} does not exist")
        return bot

    def _problem(self, problem: Problem, logid: str) -> Response:
        status = http_status(problem.code) if self.settings.error_status == "real" else 200
        body = {"code": problem.code, "msg": problem.message, "detail": {"logid": logid}}
        return _json(body, status)

    async def _no_route(self, request: Request, error: Exception) -> Response:
        logid = new_logid()
        status = error.status_code if isinstance(error, HTTPException) else 404
        text = f"this local server does not answer {request.method} {request.url.path}"
        response = _json({"code": 4200, "msg": text, "detail": {"logid": logid}}, status)
        response.headers["X-Tt-Logid"] = logid
        return response


async def _read_json(request: Request) -> Any:
    """The decoded body; None when it is empty or not JSON.

    A body that is too large is still read to its end, so that the client gets to see the answer.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= _LARGEST_BODY:
            parts.append(part)
    if size > _LARGEST_BODY:
        raise Problem(4000, f"the request body is over {_LARGEST_BODY // 1024**2} MB")
    try:
        return json.loads(b"".join(parts)) if size else None
    except (ValueError, RecursionError):
        return None


def _check_workspace(workspace_id: str) -> None:
    if workspace_id != _WORKSPACE_ID:
        raise Problem(4101)


def _page(items: list[Any], call: _Call, size: int, number: str = "page_num") -> list[Any]:
    size = min(call.number("page_size", size), _LARGEST_PAGE)
    start = (call.number(number, 1) - 1) * size
    return items[start : start + size]


def _json(value: Any, status: int = 200) -> Response:
    body = gojson.dumps(value).encode("utf-8", "replace")
    return Response(body, status, media_type="application/json; charset=utf-8")


def _ok(data: Any, call: _Call) -> Response:
    return _json({"code": 0, "msg": "", "data": data, "detail": {"logid": call.logid}})
