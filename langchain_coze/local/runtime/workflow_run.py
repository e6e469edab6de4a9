"""One run of a workflow: from its parameters to the output of its End node."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic_core import to_jsonable_python

from langchain_coze.local import reply_parts
from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.runtime.stepping import END, advance
from langchain_coze.local.runtime.workflow_stepping import iterate_function
from langchain_coze.local.runtime.workflow_writer import RunWriter
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError, get_failure_message
from langchain_coze.local.wire.ids import generate_id
from langchain_coze.local.wire.workflow_replies import PendingQuestion, RunDetails
from langchain_coze.local.workflow_parts import (
    MESSAGE_NODE,
    AskInput,
    Message,
    Output,
    RunContext,
    TokenUsage,
    WorkflowInfo,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_coze.local.faults.specs import FaultSet
    from langchain_coze.local.runtime.event_queue import EventQueue
    from langchain_coze.local.runtime.workflow_signature import Signature
    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.wire.workflow_replies import CloudWorkflowProfile

logger = logging.getLogger(__name__)

# Studio's code of a run whose function fails. The hosted service's codes for this are not listed
# (wire 4.8); that it uses the same one is our choice.
EXECUTION_FAILED = 720701013

SYNC, STREAM, ASYNC = 0, 1, 2
"""How the result of a run is returned; the numbers are those of `run_mode` (wire 4.3)."""

NOT_STREAMED = 6039
_MAX_ANSWERS = 3

Question: TypeAlias = reply_parts.Ask | AskInput


class RunnableWorkflow(WorkflowInfo, Protocol):
    """What a run reads from its workflow: a `LocalWorkflow`."""

    signature: Signature
    is_async: bool
    wrapped: bool
    delay: float
    ping: float
    gateway_timeout: float

    @property
    def returns_text(self) -> bool:
        """Whether the End node returns a text instead of variables."""
        ...


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """The request that started a run.

    Attributes:
        owner: The account that sent it.
        logid: Its log id.
        mode: `SYNC`, `STREAM` or `ASYNC`.
    """

    owner: str
    logid: str
    mode: int = SYNC


@dataclass
class ServedRun:
    """A run of a workflow, whether or not a client is waiting for it.

    Attributes:
        workflow: The workflow.
        inputs: The checked parameters, as `Signature.read_inputs` returns them.
        context: The context for the function; its `execute_id` is the id of this run.
        origin: The request that started it.
        profile: The profile of its replies and events.
        failure: Code and message once it has failed.
        output: The output of the End node once it has succeeded.
        pending: The question that it waits for an answer to, if any.
        resume_count: How often it has been resumed.
        stopped: Set at the end, and while the run waits for an answer.
    """

    workflow: RunnableWorkflow
    inputs: Mapping[str, Any]
    context: RunContext
    origin: RunOrigin
    profile: CloudWorkflowProfile
    failure: tuple[int, str] | None = None
    output: Output | None = None
    pending: PendingQuestion | None = None
    resume_count: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Prepare the run; `execute` starts it."""
        self.created_at = self.updated_at = int(time.time())
        self.info = RunDetails(
            execute_id=self.context.execute_id,
            workflow_id=self.workflow.workflow_id,
            returns_text=self.workflow.returns_text,
            wraps_text=self.workflow.wrapped,
        )
        self.writer = RunWriter(self.info, self.profile, streamed=self.origin.mode == STREAM)
        self._question: Question | None = None
        self._items: AsyncGenerator[Any, Any] = iterate_function(
            lambda: self.workflow.signature.call(self.inputs, self.context),
            is_async=self.workflow.is_async,
        )

    @property
    def execute_id(self) -> str:
        """The id of the run."""
        return self.info.execute_id

    @property
    def events(self) -> EventQueue:
        """The events of the current stream."""
        return self.writer.events

    @property
    def ended(self) -> bool:
        """Whether it has an output or has failed."""
        return self.output is not None or self.failure is not None

    async def execute(self, answer: Any = None, faults: FaultSet | None = None) -> None:
        """Run to the end or to a question.

        Never raises, except when the server stops.

        Args:
            answer: The answer to the function's question; None at the start.
            faults: The faults of the request that starts the run.
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
        """Accept the answer to the pending question.

        Returns:
            The coroutine that continues the run.

        Raises:
            ApiError: 4315, there is no such question.
        """
        pending, self.pending = self.pending, None
        if pending is None or self._question is None:
            raise ApiError(4315)
        self.resume_count += 1
        self.updated_at = int(time.time())
        self.stopped.clear()
        self.writer.start_stream(streamed=self.origin.mode == STREAM)
        try:
            return self.execute(_read_answer(self._question, text, uploads))
        except ApiError as error:
            return self._repeat_question(self._question, (*pending.rejected_answers, text), error)

    async def abandon(self) -> None:
        """Fail a run that nobody can resume."""
        self.pending = None
        self.failure = NOT_STREAMED, ApiError(NOT_STREAMED).message
        await self._stop()

    async def _run_function(self, answer: Any) -> Question | None:
        """Run the function to its end or to a question, and return the question."""
        while (item := await advance(self._items, answer)) is not END:
            answer = None
            if isinstance(item, Question):
                return item
            await self._process_item(item)
            if self.ended:
                return None
        # An async generator that yields no output has none.
        await self._finish(Output(None))
        return None

    async def _process_item(self, item: Any) -> None:
        if isinstance(item, str):
            await self._send_message(Message(item, MESSAGE_NODE, finished=False))
        elif isinstance(item, Message):
            await self._send_message(item)
        elif isinstance(item, TokenUsage):
            input_count, output_count = self.info.usage
            self.info.usage = input_count + item.input_count, output_count + item.output_count
        elif isinstance(item, reply_parts.Pause):
            await asyncio.sleep(item.seconds)
        elif isinstance(item, reply_parts.Fail):
            self._fail(item.code, item.msg)
        elif isinstance(item, Output):
            await self._finish(item)
        else:
            raise TypeError(f"a workflow cannot yield a {type(item).__name__}")

    async def _send_message(self, message: Message) -> None:
        self.writer.write_message(message)
        await asyncio.sleep(self.workflow.delay)

    async def _finish(self, output: Output) -> None:
        if isinstance(output.value, reply_parts.Fail):
            self._fail(output.value.code, output.value.msg)
            return
        # A value that JSON cannot hold fails here, not in the reply.
        value = json.loads(go_json.dumps(to_jsonable_python(output.value)))
        for event in self.writer.build_output_events(value):
            self.events.put(event)
            await asyncio.sleep(self.workflow.delay)
        self.output = Output(value)
        self.events.put(self.profile.build_done_event(self.info))

    def _fail(self, code: int, msg: str) -> None:
        self.failure = code, msg
        for event in self.profile.build_failure_events(self.info, code, msg):
            self.events.put(event)

    def _interrupt(self, question: Question, rejected_answers: tuple[str, ...] = ()) -> None:
        """Wait for the answer to a question."""
        limit = self.profile.max_resumes
        if limit is not None and self.resume_count >= limit:
            self._fail(EXECUTION_FAILED, f"the run has been resumed {limit} times and asks again")
            return
        self._question = question
        event_id = f"{self.execute_id}/{generate_id()}"
        self.pending = _build_pending_question(question, event_id, rejected_answers)
        self.writer.write_question(self.pending)

    async def _repeat_question(
        self, question: Question, answers: tuple[str, ...], error: ApiError
    ) -> None:
        if len(answers) >= _MAX_ANSWERS:
            self._fail(EXECUTION_FAILED, f"no usable answer in {len(answers)}: {error.message}")
        else:
            self._interrupt(question, answers)
        await self._stop()

    async def _stop(self) -> None:
        if self.pending is None:
            await self._items.aclose()
        self.stopped.set()
        self.events.close()


def _build_pending_question(
    question: Question, event_id: str, rejected_answers: tuple[str, ...]
) -> PendingQuestion:
    if isinstance(question, AskInput):
        form = {parameter.name: parameter.as_json() for parameter in question.parameters}
        return PendingQuestion(event_id, form=form, rejected_answers=rejected_answers)
    return PendingQuestion(
        event_id,
        question=question.question,
        options=question.options,
        rejected_answers=rejected_answers,
    )


def _read_answer(question: Question, text: str, uploads: Mapping[str, StoredFile]) -> Any:
    """Return an answer as the function gets it.

    Raises:
        ApiError: 4000, the answer is not valid.
    """
    if isinstance(question, AskInput):
        return question.read_answer(text, uploads)
    if not text.strip():
        raise ApiError(4000, "resume_data is empty")
    if question.options and text not in question.options:
        raise ApiError(4000, f"resume_data must be one of {list(question.options)}")
    return text
