"""One run of a workflow: from its parameters to the output of its End node."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from langchain_coze.local import gojson, pieces
from langchain_coze.local.ids import new_id
from langchain_coze.local.problems import Problem
from langchain_coze.local.run_steps import Output, RunContext, run_steps
from langchain_coze.local.steps import END, advance
from langchain_coze.local.workflows import LocalWorkflow

__all__ = ["EXECUTION_FAILED", "RunRequest", "WorkflowRun", "new_context", "read_run_request"]

logger = logging.getLogger(__name__)

# Studio's code of a run that fails for reasons of its own. The hosted service's codes for the same
# are not listed (wire 4.8): that it is this one there, too, is our choice.
EXECUTION_FAILED = 720701013


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A checked request for a run; fields as on the wire."""

    workflow_id: str
    parameters: Mapping[str, Any]
    bot_id: str = ""
    app_id: str = ""
    ext: Mapping[str, str] = field(default_factory=dict)


def read_run_request(body: Mapping[str, Any]) -> RunRequest:
    """Check the body of a request that begins a run.

    Args:
        body: The decoded JSON object. Unknown fields are passed over.

    Raises:
        Problem: 4000, with a sentence that names the field.

    Source: Coze API, workflow run (wire 4.2).
    """
    ext = body.get("ext") or {}
    if not isinstance(ext, dict) or not all(isinstance(value, str) for value in ext.values()):
        raise Problem(4000, "ext must be an object of strings")
    request = RunRequest(
        workflow_id=read_text(body, "workflow_id", required=True),
        parameters=_read_parameters(body.get("parameters")),
        bot_id=read_text(body, "bot_id"),
        app_id=read_text(body, "app_id"),
        ext=ext,
    )
    if request.bot_id and request.app_id:
        raise Problem(4000, "bot_id and app_id cannot be given together")
    return request


def read_text(body: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """A field that is a string.

    Raises:
        Problem: 4000, it is something else, or required and not there.
    """
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise Problem(4000, f"{name} must be a string")
    if required and not value:
        raise Problem(4000, f"{name} is required and must be a string")
    return value


def _read_parameters(given: Any) -> Mapping[str, Any]:
    """The parameters: an object, or the JSON text of one, of which the API's pages tell."""
    if isinstance(given, str) and given:
        try:
            given = json.loads(given)
        except ValueError:
            raise Problem(4000, "parameters is a string, but no JSON text") from None
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise Problem(4000, "parameters must be an object, or the JSON text of one")
    return given


class WorkflowRun:
    """A run of a workflow, whether or not a client is waiting for it.

    Args:
        workflow: The workflow.
        inputs: The checked parameters, as `Signature.read` gives them.
        context: What the function may ask for; ``execute_id`` is the id of this run.
        owner: Whose run it is.

    Attributes:
        failure: Code and message once it has failed.
        output: What the End node gave once it has.
        usage: Tokens that went in and came out.
        stopped: Set when there is nothing more to come.
    """

    def __init__(
        self, workflow: LocalWorkflow, inputs: Mapping[str, Any], context: RunContext, owner: str
    ) -> None:
        """Create the run; `execute` works it off."""
        self.workflow, self.context, self.owner = workflow, context, owner
        self.failure: tuple[int, str] | None = None
        self.output: Output | None = None
        self.usage = (0, 0)
        self.stopped = asyncio.Event()
        self._steps: AsyncGenerator[Any, Any] = run_steps(
            lambda: workflow.signature.call(inputs, context), in_loop=workflow.in_loop
        )

    @property
    def execute_id(self) -> str:
        """The id of the run."""
        return self.context.execute_id

    async def execute(self) -> None:
        """Work off the run. Never raises, except when the server stops."""
        try:
            while (step := await advance(self._steps, None)) is not END:
                await self._take(step)
                if self.output or self.failure:
                    break
        except Exception as error:
            logger.exception("The function of workflow %s failed", self.workflow.name)
            self.failure = EXECUTION_FAILED, f"{type(error).__name__}: {error}"
        finally:
            await self._steps.aclose()
            self.stopped.set()

    async def _take(self, step: Any) -> None:
        if isinstance(step, Output):
            if isinstance(step.value, pieces.Fail):
                self.failure = step.value.code, step.value.msg
            else:
                self.output = Output(_as_json_value(step.value))
        elif isinstance(step, pieces.Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, pieces.Fail):
            self.failure = step.code, step.msg
        else:
            raise TypeError(f"a workflow cannot yield a {type(step).__name__}")


def _as_json_value(value: Any) -> Any:
    """What the function gave, as JSON has it.

    Raises:
        ValueError: JSON has no form for it.
    """
    found = to_jsonable_python(value)
    gojson.dumps(found)
    return found


def new_context(workflow: LocalWorkflow, request: RunRequest, profile: str) -> RunContext:
    """What a new run may be asked for."""
    return RunContext(
        workflow=workflow,
        execute_id=new_id(),
        parameters=request.parameters,
        bot_id=request.bot_id,
        app_id=request.app_id,
        ext=request.ext,
        profile=profile,
    )
