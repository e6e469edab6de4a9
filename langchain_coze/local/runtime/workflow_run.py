"""One run of a workflow, from its parameters to the output of its End node."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic_core import to_jsonable_python

from langchain_coze.local import reply_parts, workflow_parts
from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.stepping import END, Deferred, advance, iterate_call
from langchain_coze.local.runtime.text import split_deltas
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError, get_failure_message
from langchain_coze.local.wire.ids import generate_id, get_time
from langchain_coze.local.wire.workflow_replies import (
    END_NODE,
    END_NODE_ID,
    OutputNode,
    PendingQuestion,
    RunDetails,
    render_output,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping

    from langchain_coze.local.faults.specs import FaultSet
    from langchain_coze.local.runtime.workflow_signature import Signature
    from langchain_coze.local.wire.events import SseEvent
    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.wire.workflow_replies import CloudWorkflowProfile

logger = logging.getLogger(__name__)

# Studio's code for a failed function. The codes of the hosted service are not documented (wire
# 4.8); using the same one for it is our choice.
EXECUTION_FAILED = 720701013

SYNC, STREAM, ASYNC = 0, 1, 2
"""How the result of a run is returned; the values of `run_mode` (wire 4.3)."""

NOT_STREAMED = 6039
_MAX_ANSWERS = 3

Question: TypeAlias = reply_parts.Ask | workflow_parts.AskInput


class RunnableWorkflow(workflow_parts.WorkflowInfo, Protocol):
    """The attributes of a `LocalWorkflow` that a run reads."""

    signature: Signature
    is_async: bool
    delay: float
    ping: float
    gateway_timeout: float


@dataclass
class ServedRun:
    """A run of a workflow; it continues even if no client waits for it."""

    workflow: RunnableWorkflow
    inputs: Mapping[str, Any]  # the validated parameters
    context: workflow_parts.RunContext
    info: RunDetails
    profile: CloudWorkflowProfile
    resume_count: int = 0
    # Set when the run has ended, and while it waits for an answer.
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Prepare the run; `execute` starts it."""
        self._writer = RunWriter(self.info, self.profile, streamed=self.info.mode == STREAM)
        self._question: Question | None = None
        is_async = self.workflow.is_async
        self._items: AsyncGenerator[Any, Any] = iterate_call(
            self._call if is_async else lambda: _iterate_with_output(self._call),
            _open_result,
            in_loop=is_async,
        )

    def _call(self) -> Any:
        return self.workflow.signature.call(self.inputs, self.context)

    @property
    def events(self) -> EventQueue:
        """The events of the current stream."""
        return self._writer.events

    @property
    def ended(self) -> bool:
        """Whether the run has succeeded or failed."""
        return self.info.status != "Running"

    async def execute(self, answer: Any = None, faults: FaultSet | None = None) -> None:
        """Run to the end or to the next question. Raises nothing unless the server stops.

        `answer` answers the function's question; `faults` are passed only for the first request.
        """
        try:
            if faults is not None:
                await asyncio.sleep(faults.get_seconds(Fault.IDLE))
                if (code := faults.failure_code) is not None:
                    self._fail(code, get_failure_message(code))
                    return
            question = await self._run_function(answer)
            if question is not None:
                self._interrupt(question)
        except Exception as error:
            logger.exception("The function of workflow %s failed", self.workflow.name)
            self._fail(EXECUTION_FAILED, f"{type(error).__name__}: {error}")
        finally:
            await self._stop()

    def resume(self, text: str, uploads: Mapping[str, StoredFile]) -> Any:
        """Return the coroutine that continues the run; error 4315 if it waits for no answer."""
        pending, self.info.pending = self.info.pending, None
        if pending is None or self._question is None:
            raise ApiError(4315)
        self.resume_count += 1
        self.info.updated_at = get_time()
        self.stopped.clear()
        self._writer.start_stream(streamed=self.info.mode == STREAM)
        try:
            return self.execute(_read_answer(self._question, text, uploads))
        except ApiError as error:
            return self._repeat_question(self._question, (*pending.rejected_answers, text), error)

    async def abandon(self) -> None:
        """Fail a run that cannot be resumed."""
        self.info.pending = None
        self._fail(NOT_STREAMED, ApiError(NOT_STREAMED).message)
        await self._stop()

    async def _run_function(self, answer: Any) -> Question | None:
        """Run the function to its end or to a question; return the question or None."""
        while (item := await advance(self._items, answer)) is not END:
            answer = None
            if isinstance(item, Question):
                return item
            await self._process_item(item)
            if self.ended:
                return None
        # The output of an async generator is None unless it yields one.
        await self._finish(None)
        return None

    async def _process_item(self, item: Any) -> None:
        if isinstance(item, str):
            item = workflow_parts.Message(item, workflow_parts.MESSAGE_NODE, finished=False)
        if isinstance(item, workflow_parts.Message):
            self._writer.write_message(item)
            await asyncio.sleep(self.workflow.delay)
        elif isinstance(item, workflow_parts.TokenUsage):
            input_count, output_count = self.info.usage
            self.info.usage = input_count + item.input_count, output_count + item.output_count
        elif isinstance(item, reply_parts.Pause):
            await asyncio.sleep(item.seconds)
        elif isinstance(item, reply_parts.Fail):
            self._fail(item.code, item.msg)
        elif isinstance(item, workflow_parts.Output):
            await self._finish(item.value)
        else:
            raise TypeError(f"a workflow cannot yield the type {type(item).__name__}")

    async def _finish(self, value: Any) -> None:
        if isinstance(value, reply_parts.Fail):
            self._fail(value.code, value.msg)
            return
        # A value that is not JSON fails here, not in the reply.
        value = json.loads(go_json.dumps(to_jsonable_python(value)))
        for event in self._writer.build_output_events(value):
            self.events.put(event)
            await asyncio.sleep(self.workflow.delay)
        self.info.status, self.info.output = "Success", value
        self.events.put(self.profile.build_done_event(self.info))

    def _fail(self, code: int, msg: str) -> None:
        self.info.status, self.info.failure = "Fail", (code, msg)
        for event in self.profile.build_failure_events(self.info, code, msg):
            self.events.put(event)

    def _interrupt(self, question: Question, rejected_answers: tuple[str, ...] = ()) -> None:
        """Interrupt the run until a question is answered."""
        limit = self.profile.max_resumes
        if limit is not None and self.resume_count >= limit:
            self._fail(EXECUTION_FAILED, f"the run asks a question after {limit} resumes")
            return
        self._question = question
        event_id = f"{self.info.execute_id}/{generate_id()}"
        if isinstance(question, workflow_parts.AskInput):
            form = {parameter.name: parameter.as_json() for parameter in question.parameters}
            pending = PendingQuestion(event_id, "", (), form, rejected_answers)
        else:
            pending = PendingQuestion(
                event_id, question.question, question.options, None, rejected_answers
            )
        self.info.pending = pending
        self._writer.write_question(pending)

    async def _repeat_question(
        self, question: Question, answers: tuple[str, ...], error: ApiError
    ) -> None:
        if len(answers) >= _MAX_ANSWERS:
            self._fail(EXECUTION_FAILED, f"{len(answers)} invalid answers: {error.message}")
        else:
            self._interrupt(question, answers)
        await self._stop()

    async def _stop(self) -> None:
        if self.info.pending is None:
            await self._items.aclose()
        self.stopped.set()
        self.events.close()


def _read_answer(question: Question, text: str, uploads: Mapping[str, StoredFile]) -> Any:
    """Return an answer in the form for the function; error 4000 if it is invalid."""
    if isinstance(question, workflow_parts.AskInput):
        return question.read_answer(text, uploads)
    if not text.strip():
        raise ApiError(4000, "resume_data is empty")
    if question.options and text not in question.options:
        raise ApiError(4000, f"resume_data must be one of {list(question.options)}")
    return text


def _open_result(result: Any) -> Any:
    """Return an iterator over a result that needs the event loop."""
    if isinstance(result, AsyncIterable):
        return aiter(result)
    return _iterate_with_output(lambda: result)


def _iterate_with_output(call: Callable[[], Any]) -> Generator[Any, Any, None]:
    """Yield the items of a generator and its output; for any other result only the output."""
    result = call()
    if inspect.isawaitable(result) or isinstance(result, AsyncIterable):
        yield Deferred(lambda: result)
        return
    if inspect.isgenerator(result):
        result = yield from result
    yield result if isinstance(result, workflow_parts.Output) else workflow_parts.Output(result)


class RunWriter:
    """Builds the events of a run; each resume starts a new queue of `events`."""

    def __init__(self, info: RunDetails, profile: CloudWorkflowProfile, *, streamed: bool) -> None:
        """Start without messages."""
        self._info, self._profile = info, profile
        self._node: OutputNode | None = None
        self.start_stream(streamed=streamed)

    def start_stream(self, *, streamed: bool) -> None:
        """Start another stream."""
        self.events = EventQueue(enabled=streamed)
        self._next_sequences: dict[str, int] = {}

    def write_message(self, message: workflow_parts.Message) -> None:
        """Write the message of an output node."""
        if self._node is not None and self._node.title != message.node_title:
            self._close_node()
        node = self._node = self._node or OutputNode(message.node_title)
        texts = self._info.texts
        texts[node.title] = texts.get(node.title, "") + message.text
        self.events.put(self._build_event(node, message.text, finished=message.finished))
        if message.finished:
            self._node = None

    def build_output_events(self, value: Any) -> Iterator[SseEvent]:
        """Yield the events of the End node: one for variables, several for a text."""
        self._close_node()
        node = OutputNode(END_NODE, END_NODE, END_NODE_ID)
        text = render_output(value, as_text=self._info.returns_text)
        deltas = (split_deltas(text) or [""]) if self._info.returns_text else [text]
        for number, delta in enumerate(deltas, 1):
            yield self._build_event(node, delta, finished=number == len(deltas))

    def write_question(self, question: PendingQuestion) -> None:
        """Write a question and its interrupt."""
        self._close_node()
        is_form = question.form is not None
        node = OutputNode("输入", "Input") if is_form else OutputNode("问答", "Question")
        text = self._profile.build_question_text(question)
        self.events.put(self._build_event(node, text, finished=True))
        self.events.put(self._profile.build_interrupt_event(self._info, question, node))

    def _close_node(self) -> None:
        """Finish the open node: only now its last message can be marked as the last one."""
        if self._node is not None:
            self.events.put(self._build_event(self._node, "", finished=True))
            self._node = None

    def _build_event(self, node: OutputNode, text: str, *, finished: bool) -> SseEvent:
        if self._profile.continues_sequence:
            node.sequence = self._next_sequences.get(node.id, 0)
            self._next_sequences[node.id] = node.sequence + 1
        event = self._profile.build_message_event(self._info, node, text, finished=finished)
        node.sequence += 1
        return event
