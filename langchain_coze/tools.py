"""`CozeWorkflowTool`: a Coze workflow as a LangChain tool; `CozeToolkit`: those of a workspace."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.runnables import RunnableConfig  # noqa: TC002 - LangChain reads it
from langchain_core.tools import BaseTool, BaseToolkit
from pydantic import Field, PrivateAttr, model_validator

from langchain_coze._api.effects import RetryPolicy
from langchain_coze._base.connection import CozeConnectionFields
from langchain_coze._chat.request import validate_bot_or_app
from langchain_coze._convert.to_coze import stringify_values
from langchain_coze._workflows.engine import RunOptions, WorkflowEngine
from langchain_coze._workflows.input_schema import make_tool_name
from langchain_coze._workflows.metadata import describe_workflow, list_tools
from langchain_coze._workflows.progress import ProgressReporter
from langchain_coze._workflows.validation import to_plain_data
from langchain_coze.errors import (
    CozeInvalidRequestError,
    CozeWorkflowInterrupt,
    bilingual_hint,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.effects import Flow
    from langchain_coze._workflows.engine import InputSource, RunState
    from langchain_coze._workflows.graph import NestedRun
    from langchain_coze._workflows.run import WorkflowRun

_UNKNOWN_INPUTS: Mapping[str, Any] = {"type": "object", "properties": {}}


class CozeWorkflowTool(CozeConnectionFields, BaseTool):
    """A Coze workflow as a LangChain tool.

    What the workflow puts out is the content for the model; the artifact is a `WorkflowRun`. A
    question of the workflow is an `interrupt` of LangGraph, and `Command(resume=answer)` goes on
    with the same run, also in another process. Outside of a graph with a checkpointer it is a
    `CozeWorkflowInterrupt`, and `resume` goes on. One call starts one run, whatever happens.

    Setup:
        Publish the workflow, create a token with the permission `run`, and set it:

        ```bash
        pip install langchain-coze
        export COZE_API_TOKEN="pat_…"
        ```

    Key init args — workflow:
        workflow_id: The published workflow.
        name: What a model calls it.
        description: When a model should call it.
        args_schema: What it takes: a JSON schema, or a pydantic model.
        run_mode: How it is run.

    Key init args — client:
        api_key: The token, or where it comes from, for instance a `CozeJWTAuth`.
        base_url: `https://api.coze.cn`, `https://api.coze.com`, or a Coze Studio.
        timeout: Seconds of silence.
        max_retries: Repetitions while nothing has been started.

    Instantiate:
        ```python
        from langchain_coze import CozeWorkflowTool
        from langchain_coze.local import LocalCoze, LocalWorkflow


        def weather(city: str) -> dict:
            return {"forecast": f"sunny in {city}"}


        coze = LocalCoze(workflows=LocalWorkflow(weather)).start()
        tool = CozeWorkflowTool.from_workflow(
            coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url
        )
        ```

    Invoke directly:
        ```python
        print(tool.invoke({"city": "Hangzhou"}))
        ```

    Invoke with a tool call:
        ```python
        call = {"name": tool.name, "args": {"city": "杭州"}, "id": "1", "type": "tool_call"}
        message = tool.invoke(call)
        print(message.content, message.artifact.debug_url)
        ```

    Async:
        ```python
        message = await tool.ainvoke(call)
        ```

    Within an agent:
        It is a tool like any other: `create_agent(model, [tool], checkpointer=…)`.

    Raises:
        CozeWorkflowError: The workflow failed; an agent gets it as text, see `handle_tool_error`.
        CozeWorkflowInterrupt: It asks something, and there is nobody to be asked.
        CozeError: What else goes wrong, one class for each condition.

    Source: Coze API, workflow run, stream run and resume (wire section 4).
    """

    name: str = ""
    """What a model calls it; made from the id when not given."""

    description: str = ""
    """When a model should call it."""

    workflow_id: str = Field(coerce_numbers_to_str=True, min_length=1)
    """The published workflow, a decimal id."""

    run_mode: Literal["auto", "stream", "sync", "async"] = "auto"
    """How it is run. `stream` (and `auto`) tells what its nodes say on the way, and is not cut
    after 90 s; `sync` waits for one reply; `async` (paid plans) starts it and asks for its end."""

    endpoint: str | None = None
    """Another path to run it, for a gateway that has one: it may answer with JSON or events."""

    bot_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The bot whose database and variables it uses; then no `app_id`."""

    app_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The app that it belongs to; then no `bot_id`."""

    ext: Mapping[str, Any] | None = None
    """`user_id`, `latitude`, `longitude`."""

    workflow_version: str | None = None
    """A version of a workflow of the library; None is the newest."""

    connector_id: str | None = None
    """The channel, for instance 1024 for the API."""

    poll_interval: float = Field(default=1.0, gt=0)
    """Async runs: seconds between two questions during the first 10 s; at least 1 on coze.cn and
    coze.com. Later it is a tenth of what has passed, at most 3."""

    poll_timeout: float = Field(default=600.0, gt=0)
    """Async runs: seconds until `CozeTimeoutError`."""

    max_duration: float | None = Field(default=None, gt=0)
    """Seconds that one leg of a run, to its end or its next question, may take; then
    `CozeTimeoutError`. None for no limit."""

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """LangChain's meaning; do not change it."""

    handle_tool_error: Any = True
    """LangChain's meaning: what becomes of a `CozeWorkflowError`. True: its text is the answer to
    the model. False: it is raised."""

    _async_unavailable: bool = PrivateAttr(
        default=False
    )  # whether Coze has refused asynchronous runs

    @model_validator(mode="after")
    def _fill_defaults(self) -> Self:
        if not self.name:
            self.name = make_tool_name("", self.workflow_id)
        if not self.description:
            self.description = f"Runs the Coze workflow {self.workflow_id}."
        if self.args_schema is None:
            header = {"title": self.name, "description": self.description}
            self.args_schema = {**header, **_UNKNOWN_INPUTS}
        return self

    # --- Made from what Coze tells ---------------------------------------------------------------

    @classmethod
    def from_workflow(cls, workflow_id: str, **fields: Any) -> Self:
        """Return the tool of a workflow, with the name, description and inputs that Coze tells.

        Args:
            workflow_id: The published workflow.
            **fields: Fields of the tool; what is given here is not asked for.

        Raises:
            CozeInvalidRequestError: The server tells no inputs (Coze Studio): give `args_schema`.
            CozeError: What else Coze reports.

        Source: wire section 4.7.
        """
        bare = cls(workflow_id=workflow_id, **fields)
        return bare.model_copy(update=bare._make_client().run(bare._describe(fields)))

    @classmethod
    async def afrom_workflow(cls, workflow_id: str, **fields: Any) -> Self:
        """Do what `from_workflow` does, for asyncio."""
        bare = cls(workflow_id=workflow_id, **fields)
        return bare.model_copy(update=await bare._make_client().arun(bare._describe(fields)))

    def _describe(self, known_fields: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Return what Coze tells of the workflow, as fields of the tool."""
        return describe_workflow(
            self.workflow_id, known_fields, RetryPolicy(max_retries=self.max_retries)
        )

    # --- One call --------------------------------------------------------------------------------

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the arguments of `_run`: a workflow may have parameters of any name."""
        if isinstance(tool_input, str) and isinstance(self.args_schema, dict):
            tool_input = {_get_single_parameter_name(self.args_schema): tool_input}
        _, values = super()._to_args_and_kwargs(tool_input, tool_call_id)
        named = {_get_wire_name(self.args_schema, name): value for name, value in values.items()}
        return (), {"values": to_plain_data(named), "tool_call_id": tool_call_id}

    def _run(
        self,
        values: dict[str, Any],
        *,
        tool_call_id: str | None = None,
        config: RunnableConfig,
    ) -> tuple[str, Any]:  # LangChain reads the annotations: all of them have to be importable
        engine, prepare, reporter = self._prepare_call(values, tool_call_id)
        nested = self._build_nested_run(engine, prepare, reporter, values, tool_call_id, config)
        if nested is None:
            return _to_result(engine.start(prepare(), reporter))
        run = nested.run()
        return run.content, run

    async def _arun(
        self,
        values: dict[str, Any],
        *,
        tool_call_id: str | None = None,
        config: RunnableConfig,
    ) -> tuple[str, Any]:
        engine, prepare, reporter = self._prepare_call(values, tool_call_id)
        nested = self._build_nested_run(engine, prepare, reporter, values, tool_call_id, config)
        if nested is None:  # a thread, because files may have to be read
            return _to_result(await engine.astart(await asyncio.to_thread(prepare), reporter))
        run = await nested.arun()
        return run.content, run

    def _prepare_call(
        self, values: dict[str, Any], tool_call_id: str | None
    ) -> tuple[WorkflowEngine, Callable[[], dict[str, Any]], ProgressReporter]:
        """Return the engine, a function that checks the values (it blocks), and the reporter."""
        engine = self._make_engine(tool_call_id)
        source = self._get_input_source(tool_call_id)
        reporter = ProgressReporter(self.workflow_id, tool_call_id)
        return engine, partial(engine.prepare_inputs, values, source=source), reporter

    def _build_nested_run(
        self,
        engine: WorkflowEngine,
        prepare: Callable[[], dict[str, Any]],
        reporter: ProgressReporter,
        values: dict[str, Any],
        tool_call_id: str | None,
        config: RunnableConfig,
    ) -> NestedRun | None:
        """Return the graph of one call, or None outside of a graph with a checkpointer."""
        if "langgraph" not in sys.modules:
            return None
        from langchain_coze._workflows.graph import build_nested_run  # noqa: PLC0415 - langgraph takes 150 ms

        return build_nested_run(
            engine,
            values,
            config,
            tool_call_id,
            read_parameters=prepare,
            keep_failures=bool(self.handle_tool_error),
            make_reporter=lambda: reporter,
        )

    def _get_input_source(self, tool_call_id: str | None) -> InputSource:
        """Return who has written the parameters of a call."""
        if tool_call_id is None:
            return "program"
        return "network" if isinstance(self.args_schema, dict) else "coercion"

    def _make_engine(self, tool_call_id: str | None = None) -> WorkflowEngine:

        schema = self.args_schema if isinstance(self.args_schema, dict) else {}
        return WorkflowEngine(
            self._make_client(), lambda: self._build_run_options(tool_call_id), schema
        )

    def _build_run_options(self, tool_call_id: str | None) -> RunOptions:
        """Return what is run.

        Raises:
            CozeInvalidRequestError: Both a bot and an app are named.
        """
        validate_bot_or_app("workflow", self.bot_id, self.app_id, required=False)
        body_fields = ("bot_id", "app_id", "workflow_version", "connector_id")
        body = {name: value for name in body_fields if (value := getattr(self, name))}
        if self.ext:
            body["ext"] = stringify_values(self.ext)
        deadline = None if self.max_duration is None else time.monotonic() + self.max_duration
        is_sync = self.run_mode == "sync" or (self.run_mode == "auto" and self.endpoint)
        return RunOptions(
            self.workflow_id,
            body,
            base_url=self.base_url,
            stream=not is_sync,
            is_async=self.run_mode == "async" and not self._async_unavailable,
            endpoint=self.endpoint,
            tool_call_id=tool_call_id,
            on_async_unavailable=self._record_async_unavailable,
            retry_policy=RetryPolicy(max_retries=self.max_retries, deadline=deadline),
            polling=self._build_polling(self.poll_interval, self.poll_timeout),
        )

    def _record_async_unavailable(self) -> None:
        self._async_unavailable = True

    # --- Answers outside of a graph --------------------------------------------------------------

    def resume(self, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
        """Go on with a run that asked something.

        Args:
            interrupt: What it raised. Its answer can be given once.
            answer: Text; or a dict of the values that an input node asks for, with files in any
                form that a parameter takes.

        Returns:
            The run; its `content` is what the tool would have returned.

        Raises:
            CozeWorkflowInterrupt: The workflow asks something else.
            CozeWorkflowError: It failed, or does not wait for this any more.
            CozeError: What else goes wrong.

        Source: wire sections 4.4 and 4.5.
        """
        earlier_messages = interrupt.run.get("messages") or []
        reporter = ProgressReporter(self.workflow_id, None)
        engine = self._make_engine()
        return _require_finished(
            engine.resume(interrupt.pending, answer, earlier_messages, reporter, source="program")
        )

    async def aresume(self, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
        """Do what `resume` does, for asyncio."""
        earlier_messages = interrupt.run.get("messages") or []
        reporter = ProgressReporter(self.workflow_id, None)
        engine = self._make_engine()
        step = await engine.aresume(
            interrupt.pending, answer, earlier_messages, reporter, source="program"
        )
        return _require_finished(step)


class CozeToolkit(CozeConnectionFields, BaseToolkit):
    """The published workflows of a Coze workspace, each as a `CozeWorkflowTool`.

    Example:
        ```python
        from langchain_coze import CozeToolkit
        from langchain_coze.local import LocalCoze


        def weather(city: str) -> str:
            return f"sunny in {city}"


        with LocalCoze(workflows=weather) as coze:
            toolkit = CozeToolkit(
                workspace_id=coze.workspace_id, api_key=coze.token, base_url=coze.base_url
            )
            print([tool.name for tool in toolkit.get_tools()])
        ```

    Source: Coze API, list workflows and workflow info (wire section 4.7).
    """

    workspace_id: str = Field(coerce_numbers_to_str=True, min_length=1)
    """The workspace: the number after `/space/` in its address."""

    app_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """Only the workflows of this app; None for those of the library."""

    tool_options: Mapping[str, Any] = {}
    """Fields for each tool, for instance `{"run_mode": "sync"}`."""

    def get_tools(self) -> list[BaseTool]:
        """Return a tool for each published workflow; Coze is asked for them each time.

        Raises:
            CozeError: What Coze reports.
        """
        return self._build_tools(self._make_client().run(self._list_workflows()))

    async def aget_tools(self) -> list[BaseTool]:
        """Do what `get_tools` does, for asyncio."""
        return self._build_tools(await self._make_client().arun(self._list_workflows()))

    def _list_workflows(self) -> Flow[list[dict[str, Any]]]:

        query = {"workspace_id": self.workspace_id, "workflow_mode": "workflow"}
        if self.app_id:
            query["app_id"] = self.app_id
        return list_tools(query, self.tool_options, RetryPolicy(max_retries=self.max_retries))

    def _build_tools(self, workflows: list[dict[str, Any]]) -> list[BaseTool]:
        """Return the tools of what was found."""
        fields = {name: getattr(self, name) for name in CozeConnectionFields.model_fields}
        if self.app_id:
            fields["app_id"] = self.app_id
        return [
            CozeWorkflowTool(**{**fields, **self.tool_options, **workflow})
            for workflow in workflows
        ]


def _get_wire_name(schema: Any, name: str) -> str:
    """Return the name that a parameter has for Coze: a pydantic model may have another one."""
    field = getattr(schema, "model_fields", {}).get(name)
    return (field.serialization_alias or field.alias or name) if field is not None else name


def _get_single_parameter_name(schema: Mapping[str, Any]) -> str:
    """Return the one parameter that a plain text is for."""
    names = schema.get("required") or list(schema.get("properties") or ())
    if len(names) == 1:
        return str(names[0])
    problem = f"takes {len(names)} parameters" if names else "has parameters that are not known"
    raise CozeInvalidRequestError(
        f"The workflow {problem}: a text alone is none of them.",
        hint=bilingual_hint("Give a dict of parameters.", "请以字典形式传入参数。"),
    )


def _require_finished(step: RunState) -> WorkflowRun:
    """Return a run that has ended.

    Raises:
        CozeWorkflowInterrupt: It waits.
    """
    if step.pending is None:
        return step.run
    raise CozeWorkflowInterrupt(
        f"The workflow asks: {step.pending['question']}",
        pending=step.pending,
        run=step.run.model_dump(),
        logid=step.run.logid,
        debug_url=step.run.debug_url,
        hint=bilingual_hint(
            "Go on with tool.resume(interrupt, answer); or run it in a graph with a checkpointer, "
            "and answer with Command(resume=answer).",
            "请使用 tool.resume(interrupt, answer) 继续；"
            "或在带检查点的图中运行，并用 Command(resume=answer) 回答。",
        ),
    )


def _to_result(step: RunState) -> tuple[str, WorkflowRun]:
    run = _require_finished(step)
    return run.content, run
