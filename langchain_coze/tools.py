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

from langchain_coze._base.connection import Connection
from langchain_coze._workflows.input_schema import plain, tool_name
from langchain_coze._workflows.progress import Reporter
from langchain_coze.errors import (
    CozeInvalidRequestError,
    CozeWorkflowInterrupt,
    hint_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.effects import Flow
    from langchain_coze._workflows.engine import Author, Engine, Job, Step
    from langchain_coze._workflows.run import WorkflowRun

_UNKNOWN_INPUTS: Mapping[str, Any] = {"type": "object", "properties": {}}


class CozeWorkflowTool(Connection, BaseTool):
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

    _unpaid: bool = PrivateAttr(default=False)  # whether Coze has refused asynchronous runs

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.name:
            self.name = tool_name("", self.workflow_id)
        if not self.description:
            self.description = f"Runs the Coze workflow {self.workflow_id}."
        if self.args_schema is None:
            about = {"title": self.name, "description": self.description}
            self.args_schema = {**about, **_UNKNOWN_INPUTS}
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
        return bare.model_copy(update=bare._client().run(bare._told(fields)))

    @classmethod
    async def afrom_workflow(cls, workflow_id: str, **fields: Any) -> Self:
        """Do what `from_workflow` does, for asyncio."""
        bare = cls(workflow_id=workflow_id, **fields)
        return bare.model_copy(update=await bare._client().arun(bare._told(fields)))

    def _told(self, given: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Return what Coze tells of the workflow, as fields of the tool."""
        from langchain_coze._api.effects import RetryPolicy  # noqa: PLC0415 - importing stays light
        from langchain_coze._workflows.metadata import described  # noqa: PLC0415 - the same

        return described(self.workflow_id, given, RetryPolicy(max_retries=self.max_retries))

    # --- One call --------------------------------------------------------------------------------

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the arguments of `_run`: a workflow may have parameters of any name."""
        if isinstance(tool_input, str) and isinstance(self.args_schema, dict):
            tool_input = {_only(self.args_schema): tool_input}
        _, values = super()._to_args_and_kwargs(tool_input, tool_call_id)
        named = {_wire_name(self.args_schema, name): value for name, value in values.items()}
        return (), {"values": plain(named), "tool_call_id": tool_call_id}

    def _run(
        self,
        values: dict[str, Any],
        *,
        tool_call_id: str | None = None,
        config: RunnableConfig,
    ) -> tuple[str, Any]:  # LangChain reads the annotations: all of them have to be importable
        engine, listener = self._engine(tool_call_id), Reporter(self.workflow_id, tool_call_id)
        given = partial(engine.sendable, values, by=self._author(tool_call_id))
        inside = self._inside(config, tool_call_id)
        if inside is None:
            return _told(engine.start(given(), listener))
        from langchain_coze._workflows.graph import run_of, shown  # noqa: PLC0415 - langgraph

        graph = self._graph(engine, given, listener)
        run = run_of(graph.invoke({"parameters": shown(values)}, inside))
        return run.content, run

    async def _arun(
        self,
        values: dict[str, Any],
        *,
        tool_call_id: str | None = None,
        config: RunnableConfig,
    ) -> tuple[str, Any]:
        engine, listener = self._engine(tool_call_id), Reporter(self.workflow_id, tool_call_id)
        given = partial(engine.sendable, values, by=self._author(tool_call_id))
        inside = self._inside(config, tool_call_id)
        if inside is None:  # a thread: files may have to be read
            return _told(await engine.astart(await asyncio.to_thread(given), listener))
        from langchain_coze._workflows.graph import run_of, shown, with_siblings  # noqa: PLC0415 - langgraph

        graph = self._graph(engine, given, listener)
        told = {"parameters": shown(values)}
        run = run_of(await with_siblings(config, lambda: graph.ainvoke(told, inside)))
        return run.content, run

    def _graph(self, engine: Engine, given: Callable[[], Any], listener: Reporter) -> Any:
        """Return the graph that runs one call inside of LangGraph."""
        from langchain_coze._workflows.graph import workflow_graph  # noqa: PLC0415 - langgraph

        return workflow_graph(
            engine,
            given=given,
            keep_failures=bool(self.handle_tool_error),
            listen=lambda: listener,
        )

    def _author(self, tool_call_id: str | None) -> Author:
        """Return who has written the parameters of a call."""
        if tool_call_id is None:
            return "program"
        return "network" if isinstance(self.args_schema, dict) else "coercion"

    def _inside(self, config: RunnableConfig, tool_call_id: str | None) -> RunnableConfig | None:
        """Return the config for a graph of this call, or None outside of LangGraph."""
        if "langgraph" not in sys.modules:
            return None
        from langchain_coze._workflows.graph import nested  # noqa: PLC0415 - langgraph

        return nested(config, tool_call_id)

    def _engine(self, tool_call_id: str | None = None) -> Engine:
        from langchain_coze._workflows.engine import Engine  # noqa: PLC0415 - importing stays light

        schema = self.args_schema if isinstance(self.args_schema, dict) else {}
        return Engine(self._client(), lambda: self._job(tool_call_id), schema)

    def _job(self, tool_call_id: str | None) -> Job:
        """Return what is run.

        Raises:
            CozeInvalidRequestError: Both a bot and an app are named.
        """
        from langchain_coze._api.effects import RetryPolicy  # noqa: PLC0415 - the same
        from langchain_coze._chat.request import check_place  # noqa: PLC0415 - the same
        from langchain_coze._convert.to_coze import text_map  # noqa: PLC0415 - the same
        from langchain_coze._workflows.engine import Job  # noqa: PLC0415 - the same

        check_place("workflow", self.bot_id, self.app_id, needed=False)
        named = ("bot_id", "app_id", "workflow_version", "connector_id")
        body = {name: value for name in named if (value := getattr(self, name))}
        if self.ext:
            body["ext"] = text_map(self.ext)
        until = None if self.max_duration is None else time.monotonic() + self.max_duration
        waits = self.run_mode == "sync" or (self.run_mode == "auto" and self.endpoint)
        return Job(
            self.workflow_id,
            body,
            base_url=self.base_url,
            stream=not waits,
            is_async=self.run_mode == "async" and not self._unpaid,
            endpoint=self.endpoint,
            tool_call_id=tool_call_id,
            unpaid=self._note_unpaid,
            policy=RetryPolicy(max_retries=self.max_retries, until=until),
            polling=self._polling(self.poll_interval, self.poll_timeout),
        )

    def _note_unpaid(self) -> None:
        self._unpaid = True

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
        before = interrupt.run.get("messages") or []
        listener = Reporter(self.workflow_id, None)
        engine = self._engine()
        return _ended(engine.answer(interrupt.pending, answer, before, listener, by="program"))

    async def aresume(self, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
        """Do what `resume` does, for asyncio."""
        before = interrupt.run.get("messages") or []
        listener = Reporter(self.workflow_id, None)
        engine = self._engine()
        step = await engine.aanswer(interrupt.pending, answer, before, listener, by="program")
        return _ended(step)


class CozeToolkit(Connection, BaseToolkit):
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
        return self._made(self._client().run(self._found()))

    async def aget_tools(self) -> list[BaseTool]:
        """Do what `get_tools` does, for asyncio."""
        return self._made(await self._client().arun(self._found()))

    def _found(self) -> Flow[list[dict[str, Any]]]:
        from langchain_coze._api.effects import RetryPolicy  # noqa: PLC0415 - importing stays light
        from langchain_coze._workflows.metadata import found  # noqa: PLC0415 - the same

        query = {"workspace_id": self.workspace_id, "workflow_mode": "workflow"}
        if self.app_id:
            query["app_id"] = self.app_id
        return found(query, self.tool_options, RetryPolicy(max_retries=self.max_retries))

    def _made(self, found: list[dict[str, Any]]) -> list[BaseTool]:
        """Return the tools of what was found."""
        fields = {name: getattr(self, name) for name in Connection.model_fields}
        if self.app_id:
            fields["app_id"] = self.app_id
        return [CozeWorkflowTool(**{**fields, **self.tool_options, **told}) for told in found]


def _wire_name(schema: Any, name: str) -> str:
    """Return the name that a parameter has for Coze: a pydantic model may have another one."""
    field = getattr(schema, "model_fields", {}).get(name)
    return (field.serialization_alias or field.alias or name) if field is not None else name


def _only(schema: Mapping[str, Any]) -> str:
    """Return the one parameter that a plain text is for."""
    names = schema.get("required") or list(schema.get("properties") or ())
    if len(names) == 1:
        return str(names[0])
    known = f"takes {len(names)} parameters" if names else "has parameters that are not known"
    raise CozeInvalidRequestError(
        f"The workflow {known}: a text alone is none of them.",
        hint=hint_of("Give a dict of parameters.", "请以字典形式传入参数。"),
    )


def _ended(step: Step) -> WorkflowRun:
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
        hint=hint_of(
            "Go on with tool.resume(interrupt, answer); or run it in a graph with a checkpointer, "
            "and answer with Command(resume=answer).",
            "请使用 tool.resume(interrupt, answer) 继续；"
            "或在带检查点的图中运行，并用 Command(resume=answer) 回答。",
        ),
    )


def _told(step: Step) -> tuple[str, WorkflowRun]:
    run = _ended(step)
    return run.content, run
