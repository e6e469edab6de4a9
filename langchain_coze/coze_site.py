"""`ChatCozeSite` for an agent at coze.site, `CozeSiteTool` for a workflow at coze.site."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self

from langchain_core.language_models import ModelProfile
from pydantic import Field, model_validator

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.site import SiteOptions, cancel_run, fetch_schemas
from langchain_coze._base.bot import read_argument
from langchain_coze._base.parameter_tool import ParameterTool
from langchain_coze._base.site import SiteFields
from langchain_coze._base.turn_model import TurnChatModel
from langchain_coze._base.unsupported import CallArguments
from langchain_coze._chat.cancel import send_in_background
from langchain_coze._site.history import AgentOptions
from langchain_coze._site.schema import build_tool_schema, to_site_file
from langchain_coze._site.turn import SiteTurn
from langchain_coze._site.workflow import run_site_workflow
from langchain_coze._workflows.file_parameters import map_files
from langchain_coze._workflows.metadata import make_tool_name
from langchain_coze._workflows.parameters import validate_inputs
from langchain_coze._workflows.progress import ProgressReporter
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow
    from langchain_coze._workflows.workflow_run import WorkflowRun

_PER_CALL_ARGUMENTS = frozenset({"session_id", "stream"})
_CONFIG_KEY = "coze_session_id"


class ChatCozeSite(SiteFields, CallArguments, TurnChatModel):
    """An agent at `https://<name>.coze.site` as a LangChain chat model.

    Such agents are projects of 扣子编程 (Coze's agents since 2026). The bot API, and therefore
    `ChatCoze`, cannot call them.

    Setup:
        Deploy the project, create an API token on its deployment page, and set both:

        ```bash
        export COZE_SITE_BASE="https://abcdefghij.coze.site"
        export COZE_SITE_TOKEN="eyJ…"
        ```

    Key init args — agent:
        base_url: The address of the project.
        session: Where the history is kept: in LangChain (`stateless`, default) or in the project
            (`thread`).
        session_id: A session that you manage yourself.
        response_mode: `stream` (default), `run` or `async`.
        system_message_mode: How system messages are sent.

    Key init args — client:
        api_key: The project's API token or its source.
        timeout: The read timeout in seconds.
        max_retries: The maximum number of retries of requests that cannot have started anything.
        max_duration: The maximum seconds for a whole turn.

    Instantiate:
        ```python
        from langchain_coze import ChatCozeSite
        from langchain_coze.local import LocalSite

        site = LocalSite().start()
        agent = ChatCozeSite(base_url=site.base_url, api_key=site.token)
        ```

    Invoke:
        ```python
        answer = agent.invoke("杭州今天天气怎么样？")
        print(answer.content)
        ```

    Stream:
        ```python
        for chunk in agent.stream("杭州今天天气怎么样？"):
            print(chunk.text, end="")
        ```

    Async:
        ```python
        answer = await agent.ainvoke("What is the weather like in Hangzhou?")
        ```

    Tools of the agent:
        They run on the server, and appear as content blocks of the types `server_tool_call` and
        `server_tool_result`. A coze.site agent does not accept client tools.

    Token usage:
        Only available in the modes `run` and `async`; streams report no token counts.

    Response metadata:
        `session_id`, `run_id`, `reply_id`, `logid`, `finish_reason`.

    Raises:
        CozeError: When called; one class per condition. `code` is the number that the project
            reports; if the code is a word such as `TIMEOUT`, it is the `reason`.

    Source: wire section 9.
    """

    session: Literal["stateless", "thread"] = "stateless"
    """Where the history is kept. `stateless`: in LangChain, which sends all of it each time, to a
    new session. `thread`: in the project, in the session that the history itself records, as long
    as that session ends where the history does."""

    session_id: str | None = None
    """A session that you manage: only messages that it does not contain yet are sent. Anyone with
    the token can continue any session, so choose ids that cannot be guessed. Can be set per call,
    or as `config={"configurable": {"coze_session_id": …}}`."""

    response_mode: Literal["stream", "run", "async"] = "stream"
    """How the answer is fetched. `stream`: in chunks, with the history as a transcript in one
    message. `run`: in one reply with token usage, for up to 5 minutes. `async`: as a polled task,
    for hours, without sessions. In the last two modes the history is sent as messages with their
    roles, and `stream()` yields one chunk."""

    system_message_mode: Literal["context", "ignore", "raise"] = "context"
    """How system messages are sent: `context` sends them before the question (`run` and `async`:
    with their role), `ignore` drops them, `raise` raises an error."""

    cancel_on_close: bool = True
    """Cancel the run when the consumer stops reading early. Output generated so far is still
    billed."""

    project_id: int | None = None
    """The id of the project, which Coze's samples send; the server currently ignores it."""

    _CACHE_KEY_FIELDS: ClassVar[tuple[str, ...]] = (
        "base_url",
        "session",
        "session_id",
        "response_mode",
        "system_message_mode",
        "project_id",
    )
    _STRUCTURED_OUTPUT_HINT: ClassVar[str] = site_hints.STRUCTURED_OUTPUT
    _CONFIG_ARGUMENTS: ClassVar[Mapping[str, str]] = {_CONFIG_KEY: "session_id"}

    # --- Construction --------------------------------------------------------------------------

    @model_validator(mode="after")
    def _check_session(self) -> Self:
        if self.response_mode == "async" and (self.session == "thread" or self.session_id):
            raise ValueError(site_hints.ASYNC_HAS_NO_SESSION)
        return self

    # --- Information for LangChain ---------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "chat-coze-site"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: traces and cache keys contain the fields, without the token."""
        return True

    def _resolve_model_name(self, kwargs: Mapping[str, Any]) -> str:
        return kwargs.get("model") or self._project_name

    def _resolve_model_profile(self) -> ModelProfile | None:
        return ModelProfile(
            text_inputs=True,
            text_outputs=True,
            image_inputs=self.response_mode != "stream",
            image_url_inputs=True,
            tool_calling=False,
            tool_choice=False,
            structured_output=False,
        )

    def _is_cacheable(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> bool:
        del messages
        return self.session == "stateless" and self._resolve_session_id(kwargs) is None

    # --- Unsupported features ----------------------------------------------------

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> NoReturn:
        """Raise an error: a coze.site agent does not accept client tools.

        Args:
            tools: Ignored.
            tool_choice: Ignored.
            **kwargs: Ignored.

        Raises:
            CozeInvalidRequestError: Always; its hint lists the alternatives.
        """
        del tools, tool_choice, kwargs
        raise CozeInvalidRequestError(
            "A coze.site agent runs its own tools and does not accept client tools.",
            hint=site_hints.NO_CLIENT_TOOLS,
        )

    # --- One turn --------------------------------------------------------------------------------

    def _create_turn(
        self, kwargs: Mapping[str, Any], stop: list[str] | None, *, single_chunk: bool
    ) -> SiteTurn:
        return SiteTurn(self._build_options(kwargs, stop), single_chunk=single_chunk)

    def _cancel_if_abandoned(self, driver: Driver, turn: SiteTurn) -> None:
        """Cancel an unfinished run in the background if `cancel_on_close` is set."""
        if self.cancel_on_close and turn.cancel_id and not turn.is_finished:
            send_in_background(driver, partial(cancel_run, turn.cancel_id))

    def _build_options(self, kwargs: Mapping[str, Any], stop: list[str] | None) -> AgentOptions:
        """Return the validated options of one call.

        Raises:
            CozeInvalidRequestError: The session is incompatible with the mode.
        """
        names = {name for name, value in kwargs.items() if value is not None}
        self._warn_unknown_arguments(names | ({"stop"} if stop else set()), _PER_CALL_ARGUMENTS)
        session_id = self._resolve_session_id(kwargs)
        if session_id is not None and self.response_mode == "async":
            raise CozeInvalidRequestError(
                "response_mode='async' has no sessions: the server ignores a session_id.",
                hint=site_hints.ASYNC_IGNORES_SESSION,
            )
        return AgentOptions(
            base_url=self.base_url,
            mode=self.response_mode,
            is_thread=self.session == "thread",
            session_id=session_id,
            system_mode=self.system_message_mode,
            project_id=self.project_id,
            **self._collect_site_options(),
        )

    def _resolve_session_id(self, kwargs: Mapping[str, Any]) -> str | None:
        """Return the session id of a call, from its arguments, its config or the field."""
        session_id = read_argument(kwargs, "session_id", _CONFIG_KEY)
        if session_id is None:
            session_id = self.session_id
        return str(session_id).strip() or None if session_id is not None else None


class CozeSiteTool(SiteFields, ParameterTool):
    """A workflow at `https://<name>.coze.site` as a LangChain tool.

    The output of the workflow is the content for the model; the artifact is a `WorkflowRun`.

    Setup:
        Set the address and the token of the project as for `ChatCozeSite`.

    Key init args:
        base_url: The address of the project.
        name: The name of the tool for a model.
        description: When a model should call the tool.
        args_schema: The parameters; `from_site` reads them from the project.
        run_mode: How to run the workflow.

    Instantiate:
        ```python
        from langchain_coze import CozeSiteTool
        from langchain_coze.local import LocalSite


        def add(a: float, b: float) -> dict:
            return {"total": a + b}


        site = LocalSite(workflow=add).start()
        tool = CozeSiteTool.from_site(site.base_url, api_key=site.token)
        ```

    Invoke:
        ```python
        print(tool.invoke({"a": 1, "b": 2}))
        ```

    Raises:
        CozeWorkflowError: The workflow failed; an agent gets it as text, see `handle_tool_error`.
        CozeError: Any other error; one class per condition.

    Source: wire section 9.
    """

    run_mode: Literal["run", "stream", "async"] = "run"
    """How to run the workflow. `run` waits for one reply, for up to 5 minutes. `stream` also
    reports the progress of its nodes, for up to 15 minutes. `async` starts a task and polls it, for
    hours; if the outcome of a start is unknown, the task is looked up and never started twice."""

    result_schema: Mapping[str, Any] | None = Field(default=None, repr=False)
    """The JSON schema of the outputs, used in `stream` mode. None reads it from the project."""

    @model_validator(mode="after")
    def _fill_defaults(self) -> Self:
        project = self._project_name
        name = make_tool_name(project, project)
        return self._set_defaults(name, f"Runs the coze.site workflow {project}.")

    # --- Metadata from the project ---------------------------------------------------------------

    @classmethod
    def from_site(cls, base_url: str | None = None, **fields: Any) -> Self:
        """Return the tool for a workflow, with its description and parameters from the project.

        Args:
            base_url: The address of the project; None for `COZE_SITE_BASE`.
            **fields: Fields of the tool; they take precedence over the metadata.

        Raises:
            CozeInvalidRequestError: The project is an agent.
            CozeError: Any other error.

        Source: wire section 9.
        """
        bare = cls(base_url=base_url, **fields)
        return bare.model_copy(update=bare._make_driver().run(bare._describe(fields)))

    @classmethod
    async def afrom_site(cls, base_url: str | None = None, **fields: Any) -> Self:
        """Async version of `from_site`."""
        bare = cls(base_url=base_url, **fields)
        return bare.model_copy(update=await bare._make_driver().arun(bare._describe(fields)))

    def _describe(self, known_fields: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Return the metadata of the project as fields of the tool."""
        schemas = yield from fetch_schemas(self._build_options())
        inputs, outputs = schemas.get("input_schema"), schemas.get("output_schema")
        if not inputs:
            raise CozeInvalidRequestError(
                f"The project {self._project_name} is an agent, not a workflow.",
                hint=site_hints.AGENT_PROJECT,
            )
        schema = build_tool_schema(inputs, self.name)
        update: dict[str, Any] = {"args_schema": schema, "result_schema": outputs or None}
        if schema["description"]:
            update["description"] = schema["description"]
        else:
            schema["description"] = self.description
        known = {name for name, value in known_fields.items() if value is not None}
        return {name: value for name, value in update.items() if name not in known}

    # --- Calls -----------------------------------------------------------------------------------

    def _run(self, values: dict[str, Any], *, tool_call_id: str | None = None) -> tuple[str, Any]:
        self._acquire_rate()
        run = self._make_driver().run(self._build_run(values, tool_call_id))
        return run.content, run

    async def _arun(
        self, values: dict[str, Any], *, tool_call_id: str | None = None
    ) -> tuple[str, Any]:
        await self._aacquire_rate()
        run = await self._make_driver().arun(self._build_run(values, tool_call_id))
        return run.content, run

    def _build_run(self, values: dict[str, Any], tool_call_id: str | None) -> Flow[WorkflowRun]:
        """Return the flow of a run.

        Raises:
            CozeWorkflowError: A parameter is invalid.
        """
        schema = self.args_schema if isinstance(self.args_schema, dict) else {}
        inputs = map_files(schema, validate_inputs(schema, values), to_site_file)
        reporter = ProgressReporter(self._project_name, tool_call_id)
        return run_site_workflow(self._build_options(), inputs, self.result_schema, reporter)

    def _build_options(self) -> SiteOptions:
        return SiteOptions(mode=self.run_mode, is_workflow=True, **self._collect_site_options())
