"""The workflows that a local server has."""

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
        function: Its function. Its parameters are those of the start node: names, types, defaults
            and descriptions come from its signature and docstring. What it returns is the output
            of the End node: a mapping is its variables, any other value its variable `output`.
            It may be `async`. When it raises, or returns `Fail`, the run fails. A generator may
            yield text and `Message` before its end, and the questions `Ask` and `AskInput`: the run
            stops there, and the answer becomes the value of `yield`. It may also yield
            `TokenUsage`, `Pause` and `Fail`; an async generator ends with `Output`.
        workflow_id: Its id; by default a decimal string of 19 digits made from the name.
        name: Its name; by default the function's name.
        description: What it is for; by default the first paragraph of the docstring.
        app_id: The app that it belongs to; requests must name it. A workflow without one is from
            the library.
        published: False: requests fail with 4200.
        terminate_plan: What the End node returns: `"return_variables"`, or
            `"use_answer_content"`, a text.
        wrapped: Whether a text is wrapped where the run is not streamed (wire 4.2).
        delay: Seconds after each message of a stream.
        ping: Seconds of silence after which a stream gets a heartbeat; 0 for none. Until then it
            has no response head either, and later heartbeats come after 7/6 of the time (wire 4.4).
        paid: False: asynchronous runs fail with 6003, as on a free plan.
        gateway_timeout: Seconds that a request without a stream may take; then the connection is
            closed, and the run continues.
        quota: After this many runs, requests fail with 4028; None: never.
        faults: Faults of its replies, see `Fault`.

    Raises:
        TypeError: `function` is not a function, or its parameters cannot be a workflow's.
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
        """Set the name, id and description; reject settings that cannot be used."""
        if self.terminate_plan not in _TERMINATE_PLANS:
            raise ValueError(
                f"terminate_plan is one of {_TERMINATE_PLANS}, not {self.terminate_plan!r}"
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
        """Whether its End node returns a text instead of variables."""
        return self.terminate_plan == "use_answer_content"
