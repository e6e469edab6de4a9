r"""A search in a knowledge base: a bot's turn up to its recall, or a run of a workflow.

Coze has no call that searches a knowledge base (wire section 3). A bot with one tells what it has
recalled before it answers, so a turn is begun, and left as soon as its recall is complete. A
workflow with a knowledge node puts out what that finds, and needs no model.
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
_PAYLOAD_KEYS = frozenset({"chunks", "status_code"})  # what a bot recalls, put out by a workflow
_AGENT_HANDOFF_PREFIX = "multi_agents_"  # how the messages begin between the agents of a bot


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
    """Listens to a turn for what the bot recalls, and for nothing else.

    Attributes:
        recalls: The recalls so far, in the order in which they came.
        complete: Whether no more of them are to be waited for: something else has followed.
    """

    def __init__(self, **parser_options: Any) -> None:
        """Begin with nothing; see `ChatStreamParser`."""
        super().__init__(**parser_options)
        self.recalls: list[Recall] = []
        self.complete = False

    @property
    def has_partial_event(self) -> bool:
        """Whether a part of an event has come, and not its end."""
        return self._decoder.has_partial_event

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Args:
            data: Bytes as they were read; any length.

        Raises:
            CozeError: The bot, or Coze, reports an error before anything was recalled.
        """
        for name, payload in self._decoder.feed(data):
            if self.complete:
                return
            if self.recalls and name != COMPLETED_EVENT:
                self.complete = name not in _HEARTBEATS
            elif name != DELTA_EVENT:
                self.handle_event(name, payload)

    def connection_lost(self, error: CozeError) -> None:
        """Take an error: raise it, unless there is a recall already, which is worth more.

        Args:
            error: Why nothing more can be read.

        Raises:
            CozeError: The same error, with the ids of the turn.
        """
        if not self.recalls:
            super().connection_lost(error)
        elif self.has_partial_event or not isinstance(
            error, CozeTimeoutError
        ):  # that ends our patience
            warn_user(
                "The turn broke off after its recall, so there may have been more "
                f"({error.message}). 召回之后连接或对话中断，可能还有未收到的内容。"
            )

    def close(self) -> None:
        """Take the end of the stream: it completes a recall.

        Raises:
            CozeError: Nothing was recalled and the turn did not end; see `ChatStreamParser`.
        """
        was_partial = self.has_partial_event
        try:
            super().close()
        except CozeStreamError:
            if was_partial or not self.recalls:
                raise

    def _parse_message(self, payload: bytes) -> Any:
        """Return the JSON of a message; only one that holds a recall is missed."""
        body = parse_json(payload)
        if body is None and b"knowledge_recall" in payload:
            self.recalls.append(Recall([], parse_error="its message is no JSON"))
        return body

    def _handle_other(self, message: CozeMessage) -> None:
        """Take a message that holds no recall."""
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
    """Return the session of a turn whose recall is wanted.

    Args:
        options: What is asked for.
    """

    def make_parser(reply: Reply, already_seen_ids: frozenset[str]) -> RecallStream:
        return RecallStream(logid=reply.logid, token=reply.token, already_seen_ids=already_seen_ids)

    return TurnRun(options, make_parser)


def recall_from_bot(
    run: TurnRun[RecallStream], query: str, grace: float
) -> Flow[list[dict[str, Any]]]:
    """Ask a bot, and leave as soon as its recall is complete; the session must be left after that.

    Args:
        run: What is asked for, and what becomes of it.
        query: The question.
        grace: Seconds of silence after a recall that make it complete.

    Returns:
        Chunks in the order in which the bot told them; see `Recall`.

    Raises:
        CozeRecallError: The search failed.
        CozeError: The turn failed before anything was recalled.
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
    """Read a turn until its recall is complete, or until it is over."""
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
    """Run a workflow with a knowledge node, and return what it found.

    Args:
        options: What is asked for.
        inputs: Values of its start node.
        output_path: Where in its output the list is, see `listed`.

    Returns:
        Chunks in the order in which the workflow put them out; see `Recall`.

    Raises:
        CozeInvalidRequestError: There is no list in its output.
        CozeRecallError: It failed.
        CozeError: What else Coze reports.
    """
    try:
        reply, run = yield from run_workflow(
            build_run_request(build_run_body(options, inputs)), options.retry_policy
        )
    except CozeError as error:
        if type(error) is CozeError:  # a code of a node, which no table has
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
    """Return whether a message only says that another agent of the bot goes on."""
    body = parse_json(content.encode("utf-8", "replace"))
    kind = body.get("msg_type") if isinstance(body, dict) else None
    return isinstance(kind, str) and kind.startswith(_AGENT_HANDOFF_PREFIX)


def _collect_chunks(recalls: Sequence[Recall], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks of some recalls; what went wrong beside them is told in warnings."""
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
