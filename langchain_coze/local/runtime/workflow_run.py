"""One run of a workflow: from its parameters to the output of its End node."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_jsonable_python

from langchain_coze.local import reply_parts
from langchain_coze.local.runtime.stepping import END, advance
from langchain_coze.local.runtime.workflow_stepping import Output, RunContext, run_steps
from langchain_coze.local.runtime.workflow_writer import RunWriter
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.ids import new_id
from langchain_coze.local.workflow_parts import MESSAGE_NODE, AskInput, Message, TokenUsage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_coze.local.runtime.event_queue import Outbox
    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.wire.workflows import CloudWorkflows
    from langchain_coze.local.workflows import LocalWorkflow

logger = logging.getLogger(__name__)

# Studio's code of a run that fails for reasons of its own. The hosted service's codes for the same
# are not listed (wire 4.8): that it is this one there, too, is our choice.
EXECUTION_FAILED = 720701013

SYNC, STREAM, ASYNC = 0, 1, 2
"""How a run answers; the numbers are those of `run_mode` (wire 4.3)."""

_QUESTION, _INPUT = 2, 5
_NOT_STREAMED = 6039
_MOST_ANSWERS = 3

Question: TypeAlias = reply_parts.Ask | AskInput


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Where a run comes from.

    Attributes:
        owner: Whose run it is.
        logid: The log id of the request that began it.
        mode: `SYNC`, `STREAM` or `ASYNC`.
    """

    owner: str
    logid: str
    mode: int = SYNC


@dataclass(frozen=True, slots=True)
class Interrupt:
    """What a run waits for.

    Attributes:
        event_id: What the client names it by.
        question: The question.
        answers: What was answered so far and could not be used.
    """

    event_id: str
    question: Question
    answers: tuple[str, ...] = ()

    @property
    def type(self) -> int:
        """2 for a question node, 5 for an input node (wire 4.4)."""
        return _INPUT if isinstance(self.question, AskInput) else _QUESTION

    def read(self, text: str, uploads: Mapping[str, StoredFile]) -> Any:
        """The answer as the function gets it.

        Raises:
            Problem: 4000, it cannot be used.
        """
        if isinstance(self.question, AskInput):
            return self.question.read(text, uploads)
        if not text.strip():
            raise Problem(4000, "resume_data is empty")
        if self.question.options and text not in self.question.options:
            raise Problem(4000, f"resume_data must be one of {list(self.question.options)}")
        return text


@dataclass
class WorkflowRun:
    """A run of a workflow, whether or not a client is waiting for it.

    Attributes:
        workflow: The workflow.
        inputs: The checked parameters, as `Signature.read` gives them.
        context: What the function may ask for; `execute_id` is the id of this run.
        facts: Where the run comes from.
        shapes: The wire shapes to write.
        failure: Code and message once it has failed.
        output: What the End node gave once it has.
        waiting: What it waits for, if it does.
        usage: Tokens that went in and came out.
        stopped: Set while there is nothing to come: at the end, and at a question.
    """

    workflow: LocalWorkflow
    inputs: Mapping[str, Any]
    context: RunContext
    facts: RunFacts
    shapes: CloudWorkflows
    failure: tuple[int, str] | None = None
    output: Output | None = None
    waiting: Interrupt | None = None
    usage: tuple[int, int] = (0, 0)
    resumes: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Prepare the run; `execute` works it off."""
        self.created_at = self.updated_at = int(time.time())
        self.writer = RunWriter(self, streamed=self.facts.mode == STREAM)
        self._steps: AsyncGenerator[Any, Any] = run_steps(
            lambda: self.workflow.signature.call(self.inputs, self.context),
            in_loop=self.workflow.in_loop,
        )

    @property
    def execute_id(self) -> str:
        """The id of the run."""
        return self.context.execute_id

    @property
    def outbox(self) -> Outbox:
        """The events of the stream that is being answered."""
        return self.writer.outbox

    @property
    def ended(self) -> bool:
        """Whether it has an output or has failed."""
        return self.output is not None or self.failure is not None

    async def execute(self, answer: Any = None) -> None:
        """Work off the run to its end or to a question.

        Never raises, except when the server stops.

        Args:
            answer: What the function's question was answered with; None at the beginning.
        """
        try:
            question = await self._work(answer)
            if question is not None:
                self._ask(Interrupt(self._new_event_id(), question))
        except Exception as error:
            logger.exception("The function of workflow %s failed", self.workflow.name)
            self._fail(EXECUTION_FAILED, f"{type(error).__name__}: {error}")
        finally:
            await self._stop()

    def take_answer(self, text: str, uploads: Mapping[str, StoredFile]) -> Any:
        """Take the answer to what the run waits for.

        Returns:
            The coroutine that goes on with it.
        """
        interrupt, self.waiting = self.waiting, None
        if interrupt is None:
            raise Problem(4315)
        self.resumes += 1
        self.updated_at = int(time.time())
        self.stopped.clear()
        self.writer.begin(streamed=self.facts.mode == STREAM)
        try:
            return self.execute(interrupt.read(text, uploads))
        except Problem as problem:
            return self._ask_again(interrupt, text, problem)

    async def abandon(self) -> None:
        """Fail a run that nobody can resume."""
        self.waiting = None
        self.failure = _NOT_STREAMED, Problem(_NOT_STREAMED).message
        await self._stop()

    async def _work(self, answer: Any) -> Question | None:
        while (step := await advance(self._steps, answer)) is not END:
            answer = None
            if isinstance(step, Question):
                return step
            await self._take(step)
            if self.ended:
                return None
        # An async generator that yields no output ends with none.
        await self._end(Output(None))
        return None

    async def _take(self, step: Any) -> None:
        if isinstance(step, str):
            await self._say(Message(step, MESSAGE_NODE, finished=False))
        elif isinstance(step, Message):
            await self._say(step)
        elif isinstance(step, TokenUsage):
            self.usage = self.usage[0] + step.input_count, self.usage[1] + step.output_count
        elif isinstance(step, reply_parts.Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, reply_parts.Fail):
            self._fail(step.code, step.msg)
        elif isinstance(step, Output):
            await self._end(step)
        else:
            raise TypeError(f"a workflow cannot yield a {type(step).__name__}")

    async def _say(self, message: Message) -> None:
        self.writer.say(message)
        await asyncio.sleep(self.workflow.delay)

    async def _end(self, output: Output) -> None:
        if isinstance(output.value, reply_parts.Fail):
            self._fail(output.value.code, output.value.msg)
            return
        # What JSON has no form for fails here, not in the reply.
        value = json.loads(go_json.dumps(to_jsonable_python(output.value)))
        for part in self.writer.end(Output(value)):
            self.outbox.put(part)
            await asyncio.sleep(self.workflow.delay)
        self.output = Output(value)
        self.outbox.put(self.shapes.done(self))

    def _fail(self, code: int, msg: str) -> None:
        self.failure = code, msg
        self.outbox.put(self.shapes.error(self, code, msg))

    def _ask(self, interrupt: Interrupt) -> None:
        most = self.shapes.most_resumes
        if most is not None and self.resumes >= most:
            self._fail(EXECUTION_FAILED, f"the run has been resumed {most} times and asks again")
            return
        self.waiting = interrupt
        self.writer.ask(interrupt)

    async def _ask_again(self, interrupt: Interrupt, text: str, problem: Problem) -> None:
        answers = (*interrupt.answers, text)
        if len(answers) >= _MOST_ANSWERS:
            self._fail(EXECUTION_FAILED, f"no usable answer in {len(answers)}: {problem.message}")
        else:
            self._ask(Interrupt(self._new_event_id(), interrupt.question, answers))
        await self._stop()

    def _new_event_id(self) -> str:
        return f"{self.execute_id}/{new_id()}"

    async def _stop(self) -> None:
        if self.waiting is None:
            await self._steps.aclose()
        self.stopped.set()
        self.outbox.close()
