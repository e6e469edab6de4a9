"""The workflows of a local server."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from langchain_coze.local.faults.specs import read_faults
from langchain_coze.local.runtime.replying_bot import derive_name
from langchain_coze.local.runtime.stepping import is_async_function
from langchain_coze.local.runtime.workflow_signature import Signature, read_first_paragraph
from langchain_coze.local.wire.ids import derive_id, get_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TERMINATE_PLANS = ("return_variables", "use_answer_content")


@dataclass(eq=False)
class LocalWorkflow:
    """A workflow of a `LocalCoze` server (wire 4).

    Attributes:
        function: The function that runs. The parameters of the start node (names, types, defaults,
            descriptions) come from its signature and docstring. The return value is the output of
            the End node: a mapping of its variables, or any other value for its variable `output`.
            The function may be `async`. If it raises, or returns `Fail`, the run fails. A generator
            may yield text and `Message`. At the questions `Ask` and `AskInput` the run is
            interrupted, and the answer becomes the value of `yield`. It may also yield
            `TokenUsage`, `Pause` and `Fail`; an async generator ends with `Output`.
        workflow_id: The id; by default 19 digits derived from the name.
        name: The name; by default the function's name.
        description: The description; by default the first paragraph of the docstring.
        app_id: The app of the workflow, which requests must name. Without one, the workflow is in
            the library.
        published: If False, requests fail with 4200.
        terminate_plan: The output of the End node: `"return_variables"` for variables,
            `"use_answer_content"` for a text.
        wrapped: Whether a text is wrapped unless the run is streamed (wire 4.2).
        delay: Seconds after each message of a stream.
        ping: Seconds of silence before a stream sends a heartbeat; 0 for none. Before the first
            heartbeat or event, no headers are sent. Later heartbeats come after 7/6 of the time
            (wire 4.4).
        paid: If False, asynchronous runs fail with 6003, as on a free plan.
        gateway_timeout: The maximum seconds of a request without streaming; then the connection is
            closed, and the run continues.
        quota: The number of runs after which requests fail with 4028; None for no limit.
        faults: Faults to inject into its replies; see `Fault`.

    Raises:
        TypeError: `function` is not a function, or its parameters are not supported.
        ValueError: A fault or `terminate_plan` is unknown.

    Example:
        >>> def book(city: str, nights: int = 1) -> dict[str, str]:
        ...     '''Book a room.'''
        ...     return {"booked": f"{city}, {nights}"}
        >>> workflow = LocalWorkflow(book)
        >>> workflow.name, workflow.description, list(workflow.signature.inputs_as_json())
        ('book', 'Book a room.', ['city', 'nights'])
    """

    function: Callable[..., Any]
    _: KW_ONLY
    workflow_id: str = ""
    name: str = ""
    description: str = ""
    app_id: str = ""
    published: bool = True
    terminate_plan: str = "return_variables"
    wrapped: bool = True
    delay: float = 0.0
    ping: float = 30.0
    paid: bool = True
    gateway_timeout: float = 90.0
    quota: int | None = None
    faults: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        """Set the name, id and description; reject invalid settings."""
        if self.terminate_plan not in _TERMINATE_PLANS:
            raise ValueError(
                f"terminate_plan must be one of {_TERMINATE_PLANS}, not {self.terminate_plan!r}"
            )
        self.signature = Signature(self.function)
        self.name = self.name or derive_name(self.function)
        self.workflow_id = self.workflow_id or derive_id("workflow", self.name)
        self.wire_id = self.workflow_id
        self.description = self.description or read_first_paragraph(self.function)
        read_faults(self.faults)
        self.created_at = get_time()
        self.is_async = is_async_function(self.function)

    @property
    def returns_text(self) -> bool:
        """Whether the End node returns a text instead of variables."""
        return self.terminate_plan == "use_answer_content"
