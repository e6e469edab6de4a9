"""Search a knowledge base through a bot's turn, up to its recall, or through a workflow run.

Coze has no API to search a knowledge base (wire section 3). A bot with a knowledge base sends its
recall before it answers, so the search starts a turn and closes its stream once the recall is
complete. A workflow with a knowledge node returns the results as its output, without a model.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import HumanMessage

from langchain_coze._api.effects import Close, Flow, Read, Reply
from langchain_coze._api.models import parse_json
from langchain_coze._api.retry import collect_error_context
from langchain_coze._api.workflows import build_run_request, run_workflow
from langchain_coze._chat.request import build_run_body
from langchain_coze._chat.runner import TurnRun, start_turn
from langchain_coze._chat.stream import COMPLETED_EVENT, DELTA_EVENT, ChatStreamParser
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
    bilingual_hint,
    convert_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_coze._api.models import CozeMessage
    from langchain_coze._chat.request import ChatOptions

_HEARTBEATS = frozenset({"", "PING", "ping"})
_PAYLOAD_KEYS = frozenset({"chunks", "status_code"})  # a bot's recall, as the output of a workflow
_AGENT_HANDOFF_PREFIX = "multi_agents_"  # `msg_type` of messages between the agents of a bot


_UNAUTHORISED = 708882003
_BAD_REQUEST = 4000
_PARAMETERS_HINT = bilingual_hint(
    "Say with query_parameter= which variable of the start node takes the question; give values of "
    "the others with parameters=.",
    "请用 query_parameter= 指定接收问题的开始节点变量，其他变量用 parameters= 传入。",
)
_NO_RECALL = (
    "The bot told of no recall. Bind a knowledge base to it in Coze, have it called automatically "
    "(自动调用) rather than on demand, and publish the bot again. "
    "智能体没有返回召回内容：请在扣子中为其添加知识库，将调用方式设为“自动调用”，并重新发布。"
)


class RecallStream(ChatStreamParser):
    """Stream parser that collects the recalls of a turn and nothing else.

    Attributes:
        recalls: The recalls so far, in order of arrival.
        complete: Whether no more recalls are expected, because another event has followed.
    """

    def __init__(self, **parser_options: Any) -> None:
        """Create a parser; see `ChatStreamParser`."""
        super().__init__(**parser_options)
        self.recalls: list[Recall] = []
        self.complete = False

    @property
    def has_partial_event(self) -> bool:
        """Whether an event has arrived only in part."""
        return self._decoder.has_partial_event

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the stream.

        Args:
            data: Bytes as read; any length.

        Raises:
            CozeError: The bot, or Coze, reports an error before any recall.
        """
        for name, payload in self._decoder.feed(data):
            if self.complete:
                return
            if self.recalls and name != COMPLETED_EVENT:
                self.complete = name not in _HEARTBEATS
            elif name != DELTA_EVENT:
                self.handle_event(name, payload)

    def connection_lost(self, error: CozeError) -> None:
        """Raise the error that ended the stream, or only warn if there already is a recall.

        Args:
            error: The error that ended the stream.

        Raises:
            CozeError: The same error, with the ids of the turn.
        """
        if not self.recalls:
            super().connection_lost(error)
        # a timeout between two events only means that no other recall came in time
        elif self.has_partial_event or not isinstance(error, CozeTimeoutError):
            warn_user(
                "The turn broke off after its recall, so there may have been more "
                f"({error.message}). 召回之后连接或对话中断，可能还有未收到的内容。"
            )

    def close(self) -> None:
        """Handle the end of the stream, which completes the recall.

        Raises:
            CozeStreamError: The stream ended within an event, or without a recall before the turn
                did.
            CozeError: Its last bytes report an error.
        """
        was_partial = self.has_partial_event
        try:
            super().close()
        except CozeStreamError:
            if was_partial or not self.recalls:
                raise

    def _parse_message(self, payload: bytes) -> Any:
        """Return the JSON of a message; invalid JSON matters only in a recall."""
        body = parse_json(payload)
        if body is None and b"knowledge_recall" in payload:
            self.recalls.append(Recall([], parse_error="its message is no JSON"))
        return body

    def _handle_other(self, message: CozeMessage) -> None:
        """Handle a message without a recall."""
        if self.recalls and not _is_agent_handoff(message.content):
            self.complete = True

    def _handle_verbose(self, message: CozeMessage) -> None:
        rank = sum(len(recall.chunks) for recall in self.recalls) + 1
        recall = parse_recall(message.type, message.content, rank=rank)
        if recall is None:
            self._handle_other(message)
        else:
            self.recalls.append(recall)

    _MESSAGE_HANDLERS: ClassVar[Mapping[str, Callable[[Any, CozeMessage], None]]] = {
        "verbose": _handle_verbose,
        "knowledge": _handle_verbose,
    }


def create_recall_run(options: ChatOptions) -> TurnRun[RecallStream]:
    """Return the run of a turn that collects the recall.

    Args:
        options: The options of the call.
    """

    def make_parser(reply: Reply, already_seen_ids: frozenset[str]) -> RecallStream:
        return RecallStream(logid=reply.logid, token=reply.token, already_seen_ids=already_seen_ids)

    return TurnRun(options, make_parser)


def recall_from_bot(
    run: TurnRun[RecallStream], query: str, grace: float
) -> Flow[list[dict[str, Any]]]:
    """Call a bot, and close the stream as soon as its recall is complete.

    The caller must call `run.finish` afterwards.

    Args:
        run: The run of the turn.
        query: The question.
        grace: Seconds of silence after which a recall is complete.

    Returns:
        The chunks, in the bot's order; see `Recall`.

    Raises:
        CozeRecallError: The search failed.
        CozeError: The turn failed before any recall.
    """
    parser = yield from start_turn(run, [HumanMessage(query)])
    failure: CozeError | None = None
    try:
        yield from _read_recall(parser, run.stream, grace)
    except CozeError as error:
        failure = error
    except BaseException:
        yield Close(run.stream)
        raise
    yield Close(run.stream)
    if failure is not None:
        parser.connection_lost(failure)
    if not parser.recalls:
        warn_user(_NO_RECALL)
    return _collect_chunks(parser.recalls, parser.collect_error_context())


def _read_recall(parser: RecallStream, stream: Any, grace: float) -> Flow[None]:
    """Read a turn until its recall is complete or the turn ends."""
    deadline: float | None = None
    recalls = 0
    data: bytes | None = stream.buffered
    while data is not None:
        parser.feed(data)
        if parser.complete or parser.finished:
            return
        if parser.recalls and (parser.has_partial_event or len(parser.recalls) > recalls):
            recalls, deadline = len(parser.recalls), time.monotonic() + grace
        data = yield Read(stream, deadline)
    parser.close()


def recall_from_workflow(
    options: ChatOptions, inputs: Mapping[str, Any], output_path: str | None
) -> Flow[list[dict[str, Any]]]:
    """Run a workflow with a knowledge node and return the chunks in its output.

    Args:
        options: The options of the call.
        inputs: Values of its start node.
        output_path: The path of the list in its output; see `find_list`.

    Returns:
        The chunks, in the order of the output; see `Recall`.

    Raises:
        CozeInvalidRequestError: The output has no list, or several.
        CozeRecallError: The workflow failed, or asked its user a question.
        CozeError: Any other error that Coze reports.
    """
    try:
        reply, run = yield from run_workflow(
            build_run_request(build_run_body(options, inputs)), options.retry_policy
        )
    except CozeError as error:
        if type(error) is CozeError:  # a node's code, which is not in the table
            raise convert_error(error, CozeRecallError) from error
        if error.code == _BAD_REQUEST:
            error.hint = _PARAMETERS_HINT
        raise
    context = {
        **collect_error_context(reply),
        "status_code": None,
        "debug_url": run.debug_url or None,
    }
    if run.interrupt is not None:
        raise CozeRecallError(
            "The workflow asks its user something, and so gives no documents.",
            hint=bilingual_hint(
                "A retriever needs a workflow that runs to its end: remove the question.",
                "检索器需要能直接运行结束的工作流：请去掉问答或输入节点。",
            ),
            **context,
        )
    output = unwrap(run.data)
    if output_path is None and isinstance(output, dict) and output.keys() >= _PAYLOAD_KEYS:
        return _collect_chunks([parse_payload(output)], context)
    try:
        items = find_list(output, output_path)
    except CozeInvalidRequestError as error:
        error.__dict__.update(context)
        raise
    return _collect_chunks([parse_items(items)], context)


def _is_agent_handoff(content: str) -> bool:
    """Return whether a message only hands over to another agent of the bot."""
    body = parse_json(content.encode("utf-8", "replace"))
    kind = body.get("msg_type") if isinstance(body, dict) else None
    return isinstance(kind, str) and kind.startswith(_AGENT_HANDOFF_PREFIX)


def _collect_chunks(recalls: Sequence[Recall], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks of all recalls; warn about failed ones, or raise if no chunk is left."""
    chunks = [chunk for recall in recalls for chunk in recall.chunks]
    failed = next((recall for recall in recalls if recall.status_code or recall.parse_error), None)
    if failed is not None and not chunks:
        code = failed.status_code or None
        outcome = "failed" if code else f"gave what cannot be read: {failed.parse_error}"
        message = f"The search in the knowledge base {outcome}."
        raise CozeRecallError(message, code=code, hint=_choose_hint(code), **context)
    for recall in recalls:
        for warning in list_warnings(recall):
            warn_user(warning)
    return chunks


def _choose_hint(status_code: int | None) -> str:
    if status_code == _UNAUTHORISED:
        return bilingual_hint(
            "The authorisation of a cloud drive behind the knowledge base has ended: renew it in "
            "Coze.",
            "知识库所连接的云盘授权已失效，请在扣子中重新授权。",
        )
    return bilingual_hint(
        "Try the question in the preview of the bot in Coze, and look at its knowledge base there.",
        "请在扣子的智能体预览中测试该问题，并检查知识库状态。",
    )
