"""The calls of the Coze API, each written once, without I/O; see `langchain_coze._api.effects`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from langchain_coze._api.effects import Flow, Reply, Request, RetryPolicy, Sleep, Upload
from langchain_coze._api.models import TERMINAL_STATUSES, Chat, CozeMessage, get_payload
from langchain_coze._api.retry import error_context, send_with_retry
from langchain_coze.errors import CozeError, CozeServerError, CozeTimeoutError, bilingual_hint

# --- Chat (wire section 2) ---------------------------------------------------------------------


def build_chat_request(body: Mapping[str, Any], conversation_id: str | None = None) -> Request:
    """Return the request that starts a turn; the conversation goes into the query (wire 2.1)."""
    query = {"conversation_id": conversation_id} if conversation_id else {}
    return Request(
        method="POST", path="/v3/chat", query=query, body=body, stream=bool(body.get("stream"))
    )


def build_chatflow_request(body: Mapping[str, Any], conversation_id: str | None = None) -> Request:
    """Return the request that runs a chatflow; the conversation goes into the body (wire 4.6)."""
    place = {"conversation_id": conversation_id} if conversation_id else {}
    return Request(method="POST", path="/v1/workflows/chat", body={**body, **place}, stream=True)


def build_submit_request(chat: Chat, outputs: Mapping[str, str], *, stream: bool) -> Request:
    """Return the request that gives a bot the results of its tool calls (wire section 2.6).

    Args:
        chat: The chat that waits, with its `id` and `conversation_id`.
        outputs: The result of each call, by call id.
        stream: Whether the rest of the turn is streamed.
    """
    given = [{"tool_call_id": id_, "output": output} for id_, output in outputs.items()]
    return Request(
        method="POST",
        path="/v3/chat/submit_tool_outputs",
        query=_to_id_pair(chat),
        body={"tool_outputs": given, "stream": stream},
        stream=stream,
    )


def build_retrieve_request(chat: Chat) -> Request:
    """Return the request for the state of a turn: GET, because Studio has no POST (wire 2.8)."""
    return Request(method="GET", path="/v3/chat/retrieve", query=_to_id_pair(chat))


def build_message_list_request(chat: Chat) -> Request:
    """Return the request for the messages of a turn (wire section 2.8)."""
    return Request(method="GET", path="/v3/chat/message/list", query=_to_id_pair(chat))


def build_cancel_request(chat: Chat) -> Request:
    """Return the request that cancels a turn; it does not stop the billing (wire section 2.8)."""
    return Request(method="POST", path="/v3/chat/cancel", body=_to_id_pair(chat))


def _to_id_pair(chat: Chat) -> dict[str, str]:
    return {"conversation_id": chat.conversation_id, "chat_id": chat.id}


def retrieve_chat(chat: Chat, policy: RetryPolicy) -> Flow[Chat]:
    """Return the present state of a turn.

    Args:
        chat: A chat with its `id` and `conversation_id`.
        policy: How often to repeat.

    Raises:
        CozeError: What Coze reports.
    """
    return Chat.model_validate((yield from _fetch_object(build_retrieve_request(chat), policy)))


def cancel_chat(chat: Chat, policy: RetryPolicy) -> Flow[Chat]:
    """Cancel a turn and return its state.

    Args:
        chat: A chat with its `id` and `conversation_id`.
        policy: How often to repeat.

    Raises:
        CozeInvalidRequestError: It has ended already (4104).
        CozeError: What else Coze reports.
    """
    return Chat.model_validate((yield from _fetch_object(build_cancel_request(chat), policy)))


def find_newest_chat(conversation_id: str, policy: RetryPolicy) -> Flow[str]:
    """Return the chat that the newest message of a conversation belongs to (wire section 5.2).

    Args:
        conversation_id: The conversation.
        policy: How often to repeat.

    Returns:
        The chat's id, or an empty string when there is no message, or one that was made by hand.

    Raises:
        CozeError: What Coze reports.
    """
    request = Request(
        method="POST",
        path="/v1/conversation/message/list",
        query={"conversation_id": conversation_id},
        body={"order": "desc", "limit": 1},
    )
    listed = get_payload((yield from send_with_retry(request, policy)).json)
    newest = listed[0] if isinstance(listed, list) and listed else None
    return CozeMessage.model_validate(newest).chat_id if isinstance(newest, Mapping) else ""


def upload_file(file: Upload, policy: RetryPolicy) -> Flow[str]:
    """Upload a file and return its id, which this account may use for three months (wire 5.3).

    Args:
        file: The file.
        policy: How often to repeat.

    Raises:
        CozeInvalidRequestError: Coze does not take it (4300 to 4304).
        CozeError: What else Coze reports.
    """
    request = Request(method="POST", path="/v1/files/upload", file=file)
    reply = yield from send_with_retry(request, policy)
    file_id = Chat.model_validate(_read_object(reply)).id
    if not file_id:
        raise CozeServerError("Coze took the file but gave no id for it.", **error_context(reply))
    return file_id


def _fetch_object(request: Request, policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    return _read_object((yield from send_with_retry(request, policy)))


def _read_object(reply: Reply) -> Mapping[str, Any]:
    payload = get_payload(reply.json)
    return payload if isinstance(payload, Mapping) else {}


class Polling(NamedTuple):
    """When a turn is asked for its state.

    Attributes:
        interval: Seconds between two questions during the first 10 seconds.
        timeout: Seconds until it is given up.
        min_interval: Seconds that are never undercut: 1.0 on coze.cn and coze.com.
        clock: Seconds from any fixed point.
    """

    interval: float = 1.0
    timeout: float = 600.0
    min_interval: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def iter_pauses(self) -> Iterator[float]:
        """Yield the seconds to wait: constant for 10 s, then a tenth of what passed, up to 3."""
        passed = 0.0
        steady, longest = 10.0, 3.0
        while True:
            late = min(passed / 10, longest) if passed >= steady else 0.0
            pause = max(self.interval, late, self.min_interval)
            passed += pause
            yield pause


def run_polled(
    request: Request,
    policy: RetryPolicy,
    polling: Polling,
    on_started: Callable[[Reply, Chat], None] | None = None,
) -> Flow[tuple[Reply, Any, list[Any]]]:
    """Start a turn without streaming and wait for its end (wire section 2.8).

    Args:
        request: What `build_chat_request` gives, with `stream` false.
        policy: How often to repeat each request.
        polling: When to ask, and for how long.
        on_started: What is told, at once, that the turn has started.

    Returns:
        The reply that started the turn, the chat at its end and its messages, as Coze sent them.

    Raises:
        CozeTimeoutError: The turn had not ended within `polling.timeout` seconds.
        CozeError: What else Coze reports. The outcome of the turn itself is not judged here.
    """
    begin = polling.clock()
    first = yield from send_with_retry(request, policy)
    known = {"id": request.query.get("chat_id"), **request.query}  # where a turn goes on
    raw: Mapping[str, Any] = {**known, **_read_object(first)}
    chat = Chat.model_validate(raw)
    if not chat.id:
        raise CozeServerError(
            "Coze accepted the request but named no chat to ask for.",
            **(
                error_context(first)
                | {"hint": bilingual_hint("Try again a little later.", "请稍后重试。")}
            ),
        )
    if on_started is not None:
        on_started(first, chat)
    try:
        for pause in polling.iter_pauses():
            if chat.status in TERMINAL_STATUSES:
                break
            left = begin + polling.timeout - polling.clock()
            if left <= 0:
                raise _poll_timed_out(first, polling)
            in_all = left if policy.deadline is None else policy.deadline - time.monotonic()
            yield Sleep(max(min(pause, left, in_all), 0.0))
            request_state = build_retrieve_request(chat)._replace(read_timeout=max(left, 1.0))
            raw = {**raw, **(yield from _fetch_object(request_state, policy))}
            chat = Chat.model_validate(raw)
        if chat.status not in {"completed", "requires_action"}:
            return first, raw, []
        messages = get_payload(
            (yield from send_with_retry(build_message_list_request(chat), policy)).json
        )
    except CozeError as error:  # the turn had started: whoever catches this can look for it
        error.chat_id = error.chat_id or chat.id
        error.conversation_id = error.conversation_id or chat.conversation_id
        raise
    return first, raw, messages if isinstance(messages, list) else []


def _poll_timed_out(first: Reply, polling: Polling) -> CozeTimeoutError:
    return CozeTimeoutError(
        f"The bot had not answered within poll_timeout={polling.timeout:g} s; it goes on in Coze.",
        logid=first.logid,
        hint=bilingual_hint(
            "Raise poll_timeout, or leave response_mode='stream', which needs no polling.",
            "请调大 poll_timeout，或使用默认的 response_mode='stream'（无需轮询）。",
        ),
    )
