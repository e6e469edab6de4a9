"""Search a knowledge base through a bot's turn, up to its recall.

Coze has no API to search a knowledge base (wire section 3). A bot with a knowledge base sends its
recall before it answers, so the search starts a turn and closes its stream once the recall is
complete. See `workflow_search` for the search with a workflow, which needs no model.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import HumanMessage

from langchain_coze import _hints as hints
from langchain_coze import _runtime
from langchain_coze._api.effects import Close, Flow, Read
from langchain_coze._api.models import parse_json
from langchain_coze._chat.stream_parser import COMPLETED_EVENT, DELTA_EVENT, ChatStreamParser
from langchain_coze._chat.turn import TurnRun, start_turn
from langchain_coze._convert.recall import Recall, list_warnings, parse_recall
from langchain_coze._warnings import warn_user
from langchain_coze.errors import (
    CozeError,
    CozeRecallError,
    CozeStreamError,
    CozeTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze._api.models import CozeMessage
    from langchain_coze._chat.options import ChatOptions

_HEARTBEATS = frozenset({"", "PING", "ping"})
_AGENT_HANDOFF_PREFIX = "multi_agents_"  # `msg_type` of messages between the agents of a bot
_DRIVE_UNAUTHORIZED_STATUS = 708882003


class RecallParser(ChatStreamParser):
    """Stream parser that collects only the recalls of a turn.

    Attributes:
        recalls: The recalls so far, in order of arrival.
        is_complete: Whether no more recalls are expected, because another event has followed.
    """

    def __init__(self, **parser_options: Any) -> None:
        """Create a parser; see `ChatStreamParser`."""
        super().__init__(**parser_options)
        self.recalls: list[Recall] = []
        self.is_complete = False

    @property
    def has_partial_event(self) -> bool:
        """Whether an event has arrived only in part."""
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
        """Raise the error that ended the stream, or only warn if there already is a recall."""
        if not self.recalls:
            super().handle_connection_lost(error)
        # a timeout between two events only means that no other recall came in time
        elif self.has_partial_event or not isinstance(error, CozeTimeoutError):
            warn_user(hints.TURN_CUT.format(problem=error.message))

    def require_end(self) -> None:
        """Handle the end of the stream, which completes a recall unless it cuts an event short."""
        was_partial = self.has_partial_event
        try:
            super().require_end()
        except CozeStreamError:
            if was_partial or not self.recalls:
                raise

    def _parse_message(self, payload: bytes) -> Any:
        """Return the JSON of a message; invalid JSON matters only in a recall."""
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

    The caller must call `turn.finish` afterwards.

    Args:
        turn: The turn.
        query: The question.
        grace: Seconds of silence after which a recall is complete.

    Raises:
        CozeRecallError: The search failed.
        CozeError: The turn failed before any recall.
    """
    parser = yield from start_turn(turn, [HumanMessage(query)])
    try:
        yield from _read_recall(parser, turn.stream, grace)
    except CozeError as error:
        yield Close(turn.stream)
        parser.handle_connection_lost(error)
    except BaseException:
        yield Close(turn.stream)
        raise
    else:
        yield Close(turn.stream)
    _warn_without_recall(turn.options, parser.recalls)
    return collect_chunks(parser.recalls, parser.collect_error_context())


def _warn_without_recall(options: ChatOptions, recalls: Sequence[Recall]) -> None:
    """Warn once per bot about a missing recall, unless the bot has recalled something before."""
    key = (options.base_url, options.bot_id)
    if not recalls and _runtime.searched_bots.get(key) is None:
        warn_user(hints.NO_RECALL.format(bot_id=options.bot_id))
    _runtime.searched_bots.store(key, value=True, seconds=math.inf)


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
    """Return whether a message only hands over to another agent of the bot."""
    body = parse_json(content)
    kind = body.get("msg_type") if isinstance(body, dict) else None
    return isinstance(kind, str) and kind.startswith(_AGENT_HANDOFF_PREFIX)


def collect_chunks(recalls: Sequence[Recall], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks of all recalls; warn about failed ones, or raise if no chunk is left."""
    chunks = [chunk for recall in recalls for chunk in recall.chunks]
    failed = next((recall for recall in recalls if recall.status_code or recall.parse_error), None)
    if failed is not None and not chunks:
        code = failed.status_code or None
        outcome = "failed" if code else f"returned unreadable data: {failed.parse_error}"
        message = f"The search in the knowledge base {outcome}."
        raise CozeRecallError(message, code=code, hint=_choose_hint(code), **context)
    for recall in recalls:
        for warning in list_warnings(recall):
            warn_user(warning)
    return chunks


def _choose_hint(status_code: int | None) -> str:
    if status_code == _DRIVE_UNAUTHORIZED_STATUS:
        return hints.DRIVE_UNAUTHORIZED
    return hints.KNOWLEDGE_BASE
