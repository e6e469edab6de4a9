"""Search a knowledge base with a bot or a workflow: Coze has no API for it (wire section 3).

A bot with a knowledge base sends its recall before its answer, so the search starts a turn and
closes the stream once the recall is complete. A workflow returns the chunks as its output, without
a model.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import HumanMessage

from langchain_coze import _hints as hints
from langchain_coze import _runtime
from langchain_coze._api.effects import Close, Flow, Read
from langchain_coze._api.models import RunReply, parse_json
from langchain_coze._api.replies import collect_error_context
from langchain_coze._api.retry import send_with_retry
from langchain_coze._api.workflows import build_run_request
from langchain_coze._chat.request import build_run_body
from langchain_coze._chat.stream_parser import COMPLETED_EVENT, DELTA_EVENT, ChatStreamParser
from langchain_coze._convert.recall import (
    Recall,
    list_warnings,
    parse_items,
    parse_payload,
    parse_recall,
)
from langchain_coze._convert.workflow_output import find_list, unwrap
from langchain_coze._warnings import warn_user
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeRecallError,
    CozeStreamError,
    CozeTimeoutError,
    convert_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze._api.models import CozeMessage
    from langchain_coze._chat.options import ChatOptions
    from langchain_coze._chat.turn import TurnRun

_HEARTBEATS = frozenset({"", "PING", "ping"})
_AGENT_HANDOFF_PREFIX = "multi_agents_"  # `msg_type` of messages between the agents of a bot
_DRIVE_UNAUTHORIZED_STATUS = 708882003
_PAYLOAD_KEYS = frozenset({"chunks", "status_code"})  # of a bot's recall in a workflow's output
_BAD_REQUEST_CODE = 4000


class RecallParser(ChatStreamParser):
    """Stream parser that collects only the recalls of a turn.

    Attributes:
        recalls: The recalls so far, in order of arrival.
        is_complete: Whether the recalls are complete, because another event has followed them.
    """

    def __init__(self, **parser_options: Any) -> None:
        """Create a parser; see `ChatStreamParser`."""
        super().__init__(**parser_options)
        self.recalls: list[Recall] = []
        self.is_complete = False

    @property
    def has_partial_event(self) -> bool:
        """Whether an incomplete event is buffered."""
        return self._decoder.has_partial_event

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the stream; raise if it reports an error before any recall."""
        for name, payload in self._decoder.feed(data):
            if self.is_complete:
                return
            if self.recalls and name != COMPLETED_EVENT:
                self.is_complete = name not in _HEARTBEATS
            elif name != DELTA_EVENT:
                self.handle_event(name, payload)

    def handle_connection_lost(self, error: CozeError) -> None:
        """Raise the error that ended the stream; if there is a recall, only warn."""
        if not self.recalls:
            super().handle_connection_lost(error)
        # a timeout between two events means only that no further recall arrived in time
        elif self.has_partial_event or not isinstance(error, CozeTimeoutError):
            warn_user(hints.TURN_CUT.format(problem=error.message))

    def require_end(self) -> None:
        """Handle the end of the stream, which completes a recall unless an event is incomplete."""
        was_partial = self.has_partial_event
        try:
            super().require_end()
        except CozeStreamError:
            if was_partial or not self.recalls:
                raise

    def _parse_message(self, payload: bytes) -> Any:
        """Return the JSON of a message; ignore invalid JSON unless it is a recall."""
        body = parse_json(payload)
        if body is None and b"knowledge_recall" in payload:
            self.recalls.append(Recall([], parse_error="its message is not JSON"))
        return body

    def _handle_other(self, message: CozeMessage) -> None:
        """Handle a message without a recall."""
        if self.recalls and not _is_agent_handoff(message.content):
            self.is_complete = True

    def _handle_verbose(self, message: CozeMessage) -> None:
        rank = sum(len(recall.chunks) for recall in self.recalls) + 1
        recall = parse_recall(message.type, message.content, rank=rank)
        if recall is None:
            self._handle_other(message)
        else:
            self.recalls.append(recall)

    MESSAGE_HANDLERS: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("verbose", "knowledge"), "_handle_verbose"
    )


def recall_from_bot(
    turn: TurnRun[RecallParser], query: str, grace: float
) -> Flow[list[dict[str, Any]]]:
    """Call a bot, close the stream as soon as its recall is complete, and return the chunks.

    A recall is complete after `grace` seconds of silence. The caller must call `turn.finish`.
    """
    parser = yield from turn.start([HumanMessage(query)])
    try:
        try:
            yield from _read_recall(parser, turn.stream, grace)
        finally:
            yield Close(turn.stream)
    except CozeError as error:
        parser.handle_connection_lost(error)
    bot = (turn.options.base_url, turn.options.bot_id)
    if not parser.recalls and _runtime.searched_bots.get(bot) is None:  # warn once
        warn_user(hints.NO_RECALL.format(bot_id=turn.options.bot_id))
    _runtime.searched_bots.store(bot, value=True)
    return _collect_chunks(parser.recalls, parser.collect_error_context())


def _read_recall(parser: RecallParser, stream: Any, grace: float) -> Flow[None]:
    """Read a turn until its recall is complete or the turn ends."""
    deadline: float | None = None
    recalls = 0
    data: bytes | None = stream.buffered
    while data is not None:
        parser.feed(data)
        if parser.is_complete or parser.is_finished:
            return
        if parser.recalls and (parser.has_partial_event or len(parser.recalls) > recalls):
            recalls, deadline = len(parser.recalls), time.monotonic() + grace
        data = yield Read(stream, deadline)
    parser.require_end()


def _is_agent_handoff(content: str) -> bool:
    """Return whether a message is a handoff to another agent of the bot."""
    body = parse_json(content)
    kind = body.get("msg_type") if isinstance(body, dict) else None
    return isinstance(kind, str) and kind.startswith(_AGENT_HANDOFF_PREFIX)


def recall_from_workflow(
    options: ChatOptions, inputs: Mapping[str, Any], output_path: str | None
) -> Flow[list[dict[str, Any]]]:
    """Run a workflow and return the chunks in its output; for `output_path` see `find_list`."""
    request = build_run_request(build_run_body(options, inputs))._replace(stream=False)
    try:
        reply = yield from send_with_retry(request, options.retry_policy)
    except CozeError as error:
        if type(error) is CozeError:  # a code of a node, not in the table
            raise convert_error(error, CozeRecallError) from error
        if error.code == _BAD_REQUEST_CODE:
            raise error.with_context(hint=hints.QUERY_PARAMETER) from error.__cause__
        raise
    run = RunReply.model_validate(reply.json)
    context = {
        **collect_error_context(reply),
        "status_code": None,
        "debug_url": run.debug_url or None,
    }
    if run.interrupt is not None:
        raise CozeRecallError(
            "The workflow asked a question instead of returning documents.",
            hint=hints.SEARCH_WITH_QUESTION,
            **context,
        )
    output = unwrap(run.data)
    if output_path is None and isinstance(output, dict) and output.keys() >= _PAYLOAD_KEYS:
        return _collect_chunks([parse_payload(output)], context)
    try:
        items = find_list(output, output_path)
    except CozeInvalidRequestError as error:
        raise error.with_context(**context) from error.__cause__
    return _collect_chunks([parse_items(items)], context)


def _collect_chunks(recalls: Sequence[Recall], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks of all recalls; warn about failed ones, or raise if there are no chunks."""
    chunks = [chunk for recall in recalls for chunk in recall.chunks]
    failed = next((recall for recall in recalls if recall.status_code or recall.parse_error), None)
    if failed is not None and not chunks:
        code = failed.status_code or None
        outcome = "failed" if code else f"returned unreadable data: {failed.parse_error}"
        is_drive = code == _DRIVE_UNAUTHORIZED_STATUS
        raise CozeRecallError(
            f"The knowledge base search {outcome}.",
            code=code,
            hint=hints.DRIVE_UNAUTHORIZED if is_drive else hints.KNOWLEDGE_BASE,
            **context,
        )
    for recall in recalls:
        for warning in list_warnings(recall):
            warn_user(warning)
    return chunks
