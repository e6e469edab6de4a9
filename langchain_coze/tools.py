"""`CozeWorkflowTool` for a Coze workflow, `CozeToolkit` for all workflows of a workspace."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from langchain_core.runnables import RunnableConfig  # noqa: TC002 - LangChain evaluates annotations
from langchain_core.tools import BaseToolkit
from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from langchain_coze import _hints as hints
from langchain_coze._api.ids import validate_ids
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._base.connection import CozeConnectionFields, TimeLimit, hide_secrets
from langchain_coze._base.parameter_tool import ParameterTool
from langchain_coze._chat.options import validate_bot_or_app
from langchain_coze._convert.to_coze import stringify_values
from langchain_coze._workflows.engine import PreparedRun, WorkflowEngine
from langchain_coze._workflows.metadata import (
    describe_workflow,
    describe_workspace_workflows,
    make_tool_name,
)
from langchain_coze._workflows.progress import ProgressReporter
from langchain_coze._workflows.workflow_run import read_run
from langchain_coze.errors import CozeInvalidRequestError, CozeWorkflowInterrupt

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_coze._api.effects import Flow
    from langchain_coze._workflows.file_parameters import InputSource
    from langchain_coze._workflows.graph import NestedRun
    from langchain_coze._workflows.workflow_run import WorkflowRun


class CozeWorkflowTool(ParameterTool, CozeConnectionFields):
    """A Coze workflow as a LangChain tool.

    The output of the workflow is the content for the model; the artifact is a `WorkflowRun`. A
    question of the workflow becomes a LangGraph `interrupt`, and `Command(resume=answer)` continues
    the same run, even in another process. Outside a graph with a checkpointer the tool raises
    `CozeWorkflowInterrupt`, and `resume` continues the run.

    Each call starts one run. In a graph with a checkpointer this holds even if the process is
    killed: each request is announced in a checkpoint before it is sent, and continuing the thread
    raises `CozeUnknownResultError`. With `durability="sync"` and `"async"` (the default) this holds
    for starts and answers; with `"exit"` only for answers, because LangGraph stores nothing before
    the run starts.

    Setup:
        Publish the workflow, create a token with the permission `run`, and set it:

        ```bash
        export COZE_API_TOKEN="pat_…"
        ```

    Key init args — workflow:
        workflow_id: The published workflow.
        name: The name of the tool for a model.
        description: When a model should call the tool.
        args_schema: The parameters: a JSON schema or a pydantic model.
        run_mode: How to run the workflow.

    Key init args — client:
        api_key: The token or its source, for instance a `CozeJWTAuth`.
        base_url: `https://api.coze.cn`, `https://api.coze.com`, or your Coze Studio.
        timeout: The read timeout in seconds.
        max_retries: The maximum number of retries of requests that cannot have started anything.

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
        Use it like any other tool: `create_agent(model, [tool], checkpointer=…)`.

    Raises:
        CozeWorkflowError: The workflow failed; an agent gets it as text, see `handle_tool_error`.
        CozeWorkflowInterrupt: The workflow asks a question outside a graph with a checkpointer.
        CozeUnknownResultError: An earlier attempt may have started the run or sent the answer.
        CozeError: Any other error; one class per condition.

    Source: Coze API, workflow run, stream run and resume (wire section 4).
    """

    workflow_id: str = Field(coerce_numbers_to_str=True, min_length=1)
    """The id of the published workflow, a number."""

    run_mode: Literal["auto", "stream", "sync", "async"] = "auto"
    """How to run the workflow. `stream` (and `auto`) reports the output of its nodes as it arrives
    and has no limit of 90 s; `sync` waits for one reply; `async` (paid plans) starts the run and
    polls it."""

    endpoint: str | None = None
    """Another path for starting a run, for a gateway that replies with JSON or events."""

    bot_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The bot whose database and variables the workflow uses; excludes `app_id`."""

    app_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The app that the workflow belongs to; excludes `bot_id`."""

    ext: Mapping[str, Any] | None = None
    """Additional fields for Coze: `user_id`, `latitude`, `longitude`."""

    workflow_version: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The version of a library workflow; None for the newest."""

    connector_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The channel, for instance 1024 for the API."""

    poll_interval: float = Field(default=1.0, gt=0)
    """Async runs: seconds between status requests during the first 10 s; at least 1 on coze.cn and
    coze.com. The interval then grows to a tenth of the elapsed time, up to 3 s."""

    poll_timeout: float = Field(default=600.0, gt=0)
    """Async runs: seconds before `CozeTimeoutError` is raised."""

    max_duration: TimeLimit = Field(default=None, gt=0)
    """Maximum seconds from a start or an answer to the end of the run or its next question; then
    `CozeTimeoutError` is raised. None for no limit."""

    _async_unavailable: bool = PrivateAttr(default=False)  # set if Coze refuses asynchronous runs

    @model_validator(mode="after")
    def _fill_defaults(self) -> Self:
        name = make_tool_name("", self.workflow_id)
        return self._set_defaults(name, f"Runs the Coze workflow {self.workflow_id}.")

    # --- Metadata from Coze ----------------------------------------------------------------------

    @classmethod
    def from_workflow(cls, workflow_id: str, **fields: Any) -> Self:
        """Return the tool for a workflow, with its name, description and inputs from Coze.

        Args:
            workflow_id: The published workflow.
            **fields: Fields of the tool; they take precedence over the metadata.

        Raises:
            CozeInvalidRequestError: The server does not provide the inputs (Coze Studio never
                does): pass `args_schema`.
            CozeError: Any other error.

        Source: wire section 4.7.
        """
        bare = cls(workflow_id=workflow_id, **fields)
        return bare.model_copy(update=bare._make_driver().run(bare._describe(fields)))

    @classmethod
    async def afrom_workflow(cls, workflow_id: str, **fields: Any) -> Self:
        """Async version of `from_workflow`."""
        bare = cls(workflow_id=workflow_id, **fields)
        return bare.model_copy(update=await bare._make_driver().arun(bare._describe(fields)))

    def _describe(self, known_fields: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Return the metadata of the workflow as fields of the tool."""
        policy = RetryPolicy(max_retries=self.max_retries)
        return describe_workflow(self.workflow_id, known_fields, policy)

    # --- Calls -----------------------------------------------------------------------------------

    def _run(
        self, values: dict[str, Any], *, tool_call_id: str | None = None, config: RunnableConfig
    ) -> tuple[str, Any]:  # LangChain evaluates these annotations at run time
        return _to_result(self._prepare_run(values, tool_call_id, config).run())

    async def _arun(
        self, values: dict[str, Any], *, tool_call_id: str | None = None, config: RunnableConfig
    ) -> tuple[str, Any]:
        return _to_result(await self._prepare_run(values, tool_call_id, config).arun())

    def _prepare_run(
        self, values: dict[str, Any], tool_call_id: str | None, config: RunnableConfig
    ) -> NestedRun | PreparedRun:
        """Prepare the run of a call, in a nested graph if a checkpointer can resume it."""
        engine = self._make_engine(tool_call_id)
        source: InputSource = "network" if isinstance(self.args_schema, dict) else "coercion"
        if tool_call_id is None:
            source = "program"
        if "langgraph" not in sys.modules:
            return engine.start(values, source)
        from langchain_coze._workflows import graph, langgraph_internals  # noqa: PLC0415 - importing langgraph takes 150 ms

        child_config = langgraph_internals.build_child_config(config, tool_call_id)
        if child_config is None:
            return engine.start(values, source)
        nodes = graph.WorkflowNodes(
            # create the reporter here, outside the nested graph
            make_engine=partial(self._make_engine, tool_call_id, engine.reporter),
            values=values,
            source=source,
            keep_failures=bool(self.handle_tool_error),
        )
        return graph.NestedRun(nodes=nodes, config=config, child_config=child_config)

    def _make_engine(
        self, tool_call_id: str | None = None, reporter: ProgressReporter | None = None
    ) -> WorkflowEngine:
        """Return the engine for the starts and resumes of a call."""
        validate_ids(workflow_id=self.workflow_id, bot_id=self.bot_id, app_id=self.app_id)
        validate_bot_or_app("workflow", self.bot_id, self.app_id, required=False)
        body_fields = ("bot_id", "app_id", "workflow_version", "connector_id")
        body: dict[str, Any] = {name: v for name in body_fields if (v := getattr(self, name))}
        if self.ext:
            body["ext"] = stringify_values(self.ext)
        default_mode: Literal["sync", "stream"] = "sync" if self.endpoint else "stream"
        mode = default_mode if self.run_mode == "auto" else self.run_mode
        return WorkflowEngine(
            driver=self._make_driver(),
            workflow_id=self.workflow_id,
            schema=self.args_schema if isinstance(self.args_schema, dict) else {},
            body=body,
            mode="stream" if mode == "async" and self._async_unavailable else mode,
            endpoint=self.endpoint,
            tool_call_id=tool_call_id,
            reporter=reporter or ProgressReporter(self.workflow_id, tool_call_id),
            on_async_unavailable=partial(setattr, self, "_async_unavailable", True),  # noqa: FBT003 - setattr is positional
            max_retries=self.max_retries,
            max_duration=self.max_duration,
            rate_limiter=self.rate_limiter,
            polling=self._build_polling(self.poll_interval, self.poll_timeout),
        )

    # --- Resuming outside a graph ----------------------------------------------------------------

    def resume(self, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
        """Answer the question of a run and continue it.

        Args:
            interrupt: The exception that the tool raised. It can be answered only once.
            answer: Text, or a dict with the values of an input node's fields. Files may have any
                form that parameters accept.

        Returns:
            The finished run; its `content` is the text that the tool would have returned.

        Raises:
            CozeWorkflowInterrupt: The workflow asks another question.
            CozeWorkflowError: The run failed or no longer waits for this answer.
            CozeInvalidRequestError: `interrupt` is not a `CozeWorkflowInterrupt`.
            CozeError: Any other error.

        Source: wire sections 4.4 and 4.5.
        """
        return _require_finished(self._prepare_resume(interrupt, answer).run())

    async def aresume(self, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
        """Async version of `resume`."""
        return _require_finished(await self._prepare_resume(interrupt, answer).arun())

    def _prepare_resume(self, interrupt: CozeWorkflowInterrupt, answer: Any) -> PreparedRun:
        if not isinstance(interrupt, CozeWorkflowInterrupt):
            raise CozeInvalidRequestError(
                f"The interrupt is of type {type(interrupt).__name__}, not CozeWorkflowInterrupt.",
                hint=hints.RESUME,
            )
        engine = self._make_engine()
        return engine.resume(interrupt.run, interrupt.pending, answer, "program")


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
    """The workspace: the number after `/space/` in its URL."""

    app_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """List only the workflows of this app; None for the library."""

    tool_options: Annotated[Mapping[str, Any], AfterValidator(hide_secrets)] = Field(
        default={}, repr=False, exclude=True
    )
    """Fields of each tool, for instance `{"run_mode": "sync"}`."""

    def get_tools(self) -> list[BaseTool]:
        """Return a tool for each published workflow; the list is not cached.

        Raises:
            CozeError: Coze reported an error or could not be reached.
        """
        return self._build_tools(self._make_driver().run(self._list_workflows()))

    async def aget_tools(self) -> list[BaseTool]:
        """Async version of `get_tools`."""
        return self._build_tools(await self._make_driver().arun(self._list_workflows()))

    def _list_workflows(self) -> Flow[list[dict[str, Any]]]:
        query = {"workspace_id": self.workspace_id, "workflow_mode": "workflow"}
        if self.app_id:
            query["app_id"] = self.app_id
        policy = RetryPolicy(max_retries=self.max_retries)
        return describe_workspace_workflows(query, self.tool_options, policy)

    def _build_tools(self, workflows: list[dict[str, Any]]) -> list[BaseTool]:
        fields = {name: getattr(self, name) for name in CozeConnectionFields.model_fields}
        if self.app_id:
            fields["app_id"] = self.app_id
        fields |= self.tool_options
        return [CozeWorkflowTool(**{**fields, **workflow}) for workflow in workflows]


def _require_finished(state: Mapping[str, Any]) -> WorkflowRun:
    """Return a finished run; raise its failure or its pending question."""
    pending = state.get("pending")
    if pending is None:
        return read_run(state)
    run = state["run"]
    raise CozeWorkflowInterrupt(
        f"The workflow asks: {pending['question']}",
        pending=pending,
        run=run,
        logid=run["logid"],
        debug_url=run["debug_url"],
        hint=hints.WORKFLOW_WAITS,
    )


def _to_result(state: Mapping[str, Any]) -> tuple[str, WorkflowRun]:
    run = _require_finished(state)
    return run.content, run
