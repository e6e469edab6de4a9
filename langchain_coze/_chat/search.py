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
from langchain_coze._api.models import parse
from langchain_coze._api.retry import facts_of
from langchain_coze._api.workflows import run_request, run_workflow
from langchain_coze._chat.request import run_body
from langchain_coze._chat.runner import Session, begin
from langchain_coze._chat.stream import COMPLETED, DELTA, Progress
from langchain_coze._convert.recall import Recall, read_items, read_payload, read_recall, troubles
from langchain_coze._convert.workflow_output import listed, unwrapped
from langchain_coze._warnings import warn_user
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeRecallError,
    CozeStreamError,
    CozeTimeoutError,
    converted,
    hint_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_coze._api.models import Message
    from langchain_coze._chat.request import Call

_HEARTBEATS = frozenset({"", "PING", "ping"})
_PAYLOAD = frozenset({"chunks", "status_code"})  # what a bot recalls, put out by a workflow
_HAND_OVER = "multi_agents_"  # how the messages begin between the agents of a bot


_UNAUTHORISED = 708882003
_BAD_REQUEST = 4000
_PARAMETERS = hint_of(
    "Say with query_parameter= which variable of the start node takes the question; give values of "
    "the others with parameters=.",
    "请用 query_parameter= 指定接收问题的开始节点变量，其他变量用 parameters= 传入。",
)
_NO_RECALL = (
    "The bot told of no recall. Bind a knowledge base to it in Coze, have it called automatically "
    "(自动调用) rather than on demand, and publish the bot again. "
    "智能体没有返回召回内容：请在扣子中为其添加知识库，将调用方式设为“自动调用”，并重新发布。"
)


class Search(Progress):
    """Listens to a turn for what the bot recalls, and for nothing else.

    Attributes:
        recalls: The recalls so far, in the order in which they came.
        complete: Whether no more of them are to be waited for: something else has followed.
    """

    def __init__(self, **about: Any) -> None:
        """Begin with nothing; see `Progress`."""
        super().__init__(**about)
        self.recalls: list[Recall] = []
        self.complete = False

    @property
    def midway(self) -> bool:
        """Whether a part of an event has come, and not its end."""
        return self._decoder.midway

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Args:
            data: Bytes as they were read; any length.

        Raises:
            CozeError: The bot, or Coze, reports an error before anything was recalled.
        """
        for name, payload, _ in self._decoder.feed(data):
            if self.complete:
                return
            if self.recalls and name != COMPLETED:
                self.complete = name not in _HEARTBEATS
            elif name != DELTA:
                self.event(name, payload)

    def broke(self, error: CozeError) -> None:
        """Take an error: raise it, unless there is a recall already, which is worth more.

        Args:
            error: Why nothing more can be read.

        Raises:
            CozeError: The same error, with the ids of the turn.
        """
        if not self.recalls:
            super().broke(error)
        elif self.midway or not isinstance(error, CozeTimeoutError):  # that ends our patience
            warn_user(
                "The turn broke off after its recall, so there may have been more "
                f"({error.message}). 召回之后连接或对话中断，可能还有未收到的内容。"
            )

    def close(self) -> None:
        """Take the end of the stream: it completes a recall.

        Raises:
            CozeError: Nothing was recalled, and the turn has not come to its end; see `Progress`.
        """
        midway = self.midway
        try:
            super().close()
        except CozeStreamError:
            if midway or not self.recalls:
                raise

    def _parsed(self, payload: bytes) -> Any:
        """Return the JSON of a message; only one that holds a recall is missed."""
        body = parse(payload)
        if body is None and b"knowledge_recall" in payload:
            self.recalls.append(Recall([], damage="its message is no JSON"))
        return body

    def _other(self, message: Message) -> None:
        """Take a message that holds no recall."""
        if self.recalls and not _is_hand_over(message.content):
            self.complete = True

    def _verbose(self, message: Message) -> None:
        rank = sum(len(recall.chunks) for recall in self.recalls) + 1
        recall = read_recall(message.type, message.content, rank=rank)
        if recall is None:
            self._other(message)
        else:
            self.recalls.append(recall)

    _MESSAGES: ClassVar[Mapping[str, Callable[[Any, Message], None]]] = {
        "verbose": _verbose,
        "knowledge": _verbose,
    }


def searching(call: Call) -> Session[Search]:
    """Return the session of a turn whose recall is wanted.

    Args:
        call: What is asked for.
    """

    def listen(reply: Reply, told: frozenset[str]) -> Search:
        return Search(logid=reply.logid, secret=reply.secret, told=told)

    return Session(call, listen)


def recall_of(session: Session[Search], query: str, grace: float) -> Flow[list[dict[str, Any]]]:
    """Ask a bot, and leave as soon as its recall is complete; the session must be left after that.

    Args:
        session: What is asked for, and what becomes of it.
        query: The question.
        grace: Seconds of silence after a recall that make it complete.

    Returns:
        Chunks in the order in which the bot told them; see `Recall`.

    Raises:
        CozeRecallError: The search failed.
        CozeError: The turn failed before anything was recalled.
    """
    search = yield from begin(session, [HumanMessage(query)])
    broken: CozeError | None = None
    try:
        yield from _listen(search, session.stream, grace)
    except CozeError as error:
        broken = error
    except BaseException:
        yield Close(session.stream)
        raise
    yield Close(session.stream)
    if broken is not None:
        search.broke(broken)
    if not search.recalls:
        warn_user(_NO_RECALL)
    return _chunks_of(search.recalls, search.facts())


def _listen(search: Search, stream: Any, grace: float) -> Flow[None]:
    """Read a turn until its recall is complete, or until it is over."""
    until: float | None = None
    recalls = 0
    data: bytes | None = stream.head
    while data is not None:
        search.receive(data)
        if search.complete or search.finished:
            return
        if search.recalls and (search.midway or len(search.recalls) > recalls):
            recalls, until = len(search.recalls), time.monotonic() + grace
        data = yield Read(stream, until)
    search.close()


def found_by(
    call: Call, inputs: Mapping[str, Any], output_path: str | None
) -> Flow[list[dict[str, Any]]]:
    """Run a workflow with a knowledge node, and return what it found.

    Args:
        call: What is asked for.
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
        reply, run = yield from run_workflow(run_request(run_body(call, inputs)), call.policy)
    except CozeError as error:
        if type(error) is CozeError:  # a code of a node, which no table has
            raise converted(error, CozeRecallError) from error
        if error.code == _BAD_REQUEST:
            error.hint = _PARAMETERS
        raise
    facts = {**facts_of(reply), "status_code": None, "debug_url": run.debug_url or None}
    if run.asks is not None:
        raise CozeRecallError(
            "The workflow asks its user something, and so gives no documents.",
            hint=hint_of(
                "A retriever needs a workflow that runs to its end: remove the question.",
                "检索器需要能直接运行结束的工作流：请去掉问答或输入节点。",
            ),
            **facts,
        )
    output = unwrapped(run.data)
    if output_path is None and isinstance(output, dict) and output.keys() >= _PAYLOAD:
        return _chunks_of([read_payload(output)], facts)
    try:
        items = listed(output, output_path)
    except CozeInvalidRequestError as error:
        error.__dict__.update(facts)
        raise
    return _chunks_of([read_items(items)], facts)


def _is_hand_over(content: str) -> bool:
    """Return whether a message only says that another agent of the bot goes on."""
    body = parse(content.encode("utf-8", "replace"))
    kind = body.get("msg_type") if isinstance(body, dict) else None
    return isinstance(kind, str) and kind.startswith(_HAND_OVER)


def _chunks_of(recalls: Sequence[Recall], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks of some recalls; what went wrong beside them is told in warnings."""
    chunks = [chunk for recall in recalls for chunk in recall.chunks]
    bad = next((recall for recall in recalls if recall.status_code or recall.damage), None)
    if bad is not None and not chunks:
        code = bad.status_code or None
        told = "failed" if code else f"gave what cannot be read: {bad.damage}"
        message = f"The search in the knowledge base {told}."
        raise CozeRecallError(message, code=code, hint=_hint(code), **facts)
    for recall in recalls:
        for trouble in troubles(recall):
            warn_user(trouble)
    return chunks


def _hint(status_code: int | None) -> str:
    if status_code == _UNAUTHORISED:
        return hint_of(
            "The authorisation of a cloud drive behind the knowledge base has ended: renew it in "
            "Coze.",
            "知识库所连接的云盘授权已失效，请在扣子中重新授权。",
        )
    return hint_of(
        "Try the question in the preview of the bot in Coze, and look at its knowledge base there.",
        "请在扣子的智能体预览中测试该问题，并检查知识库状态。",
    )
