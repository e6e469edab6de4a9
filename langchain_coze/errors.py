"""The errors of langchain-coze: one class per condition, with Coze's own code, log id and a hint.

Coze reports errors as a JSON `code`, often with HTTP status 200 (wire sections 1.4, 1.5 and 7).
Every failure becomes a `CozeError`; most classes are also the matching `ModelError` of
`langchain_core.exceptions`, so that code written against LangChain's names keeps working. Permanent
errors are `ValueError`s too, because LangGraph's default retry policy does not repeat those.

Example:
    ```python
    from langchain_coze.errors import CozeError, CozeNotFoundError, is_retryable

    error = CozeNotFoundError("The bot is not published.", code=4015, logid="0217")
    assert isinstance(error, CozeError)
    assert not is_retryable(error)
    assert "4015" in str(error)
    ```
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from langchain_core import exceptions as core
from langchain_core.exceptions import ModelError
from langchain_core.tools.base import ToolException

if TYPE_CHECKING:
    from collections.abc import Mapping

    _RefusalError = ModelError
else:  # `ModelRefusalError` came with langchain-core 1.7.5
    _RefusalError = getattr(core, "ModelRefusalError", ModelError)

_TOKEN = re.compile(r"\b(pat|sat|czu|czs|cztei)_[A-Za-z0-9._-]{4,}")
_MIN_SECRET_LENGTH = 8  # shorter ones are words
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',;]{8,}")


def redact(text: str, *secrets: str) -> str:
    """Return `text` without anything that looks like a Coze token.

    Args:
        text: Any text, for instance what a server answered.
        *secrets: Further strings that must not appear.

    Returns:
        The text, with each token replaced by `pat_***` or `***`.

    Example:
        ```python
        from langchain_coze.errors import redact

        assert redact("token pat_abcdef123 refused") == "token pat_*** refused"
        ```
    """
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_LENGTH:
            text = text.replace(secret, "***")
    return _BEARER.sub(r"\1 ***", _TOKEN.sub(r"\1_***", text))


class ErrorResponse(NamedTuple):
    """What the server answered, kept so that traces show it (LangSmith reads `json`, `headers`).

    Attributes:
        status_code: The HTTP status.
        headers: The few headers that help support: content type, log id, retry-after.
        text: The body, at most its first 2,000 characters, without tokens.
    """

    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: If the body is not JSON.
        """
        return json.loads(self.text)


_STARTED_ATTRIBUTES = frozenset(
    {"may_have_started", "chat_id"}
)  # what an error tells of a request that Coze had


class CozeError(ModelError):
    """Anything that goes wrong between LangChain and Coze.

    Attributes:
        code: Coze's error code (int), or None when Coze gave none.
        message: What happened, in Coze's words where it gave some.
        status_code: The HTTP status, or None.
        logid: Coze's log id, which its support asks for. Also as `request_id`.
        debug_url: The page with the trace of a run, where Coze gave one.
        hint: What to do, one line in English and one in Chinese, or None.
        response: The answer as an `ErrorResponse`, or None.
        chat_id: The chat that had been started, or None when nothing had.
        conversation_id: Its conversation, or None.
        retry_after: Seconds that the server asks to wait, or None.

    Source: wire sections 1.3 to 1.5 and 7.
    """

    may_have_started: bool = False
    """Whether the request may have reached Coze, and started something, without an answer."""

    retries_exhausted: bool = False
    """Whether it has been tried again as often as allowed, so that no one else tries again."""

    def __init__(  # noqa: PLR0913 - each is a named attribute of the error
        self,
        message: str = "",
        *,
        code: int | None = None,
        status_code: int | None = None,
        logid: str | None = None,
        debug_url: str | None = None,
        hint: str | None = None,
        response: ErrorResponse | None = None,
        chat_id: str | None = None,
        conversation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Make the error; tokens in `message` are masked."""
        self.message = redact(message)
        super().__init__(self.message)
        self.code = code
        self.status_code = status_code
        self.logid = logid
        self.debug_url = debug_url
        self.hint = hint
        self.response = response
        self.chat_id = chat_id
        self.conversation_id = conversation_id
        self.retry_after = retry_after

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; what has begun is not made again: it would begin twice."""
        super().__setattr__(name, value)
        if name in _STARTED_ATTRIBUTES and value:
            super().__setattr__("is_retryable", False)

    @property
    def request_id(self) -> str | None:
        """The log id under the name that LangSmith looks for."""
        return self.logid

    def __str__(self) -> str:
        """Return the message with code, log id, ids of the turn and the hint."""
        values = {
            "code": self.code,
            "HTTP": self.status_code if self.code is None else None,
            "logid": self.logid,
            "chat_id": self.chat_id,
            "conversation_id": self.conversation_id,
            "debug_url": self.debug_url,
        }
        context = ", ".join(
            f"{name} {value}" for name, value in values.items() if value is not None
        )
        line = f"{self.message or type(self).__name__}{f' ({context})' if context else ''}"
        return f"{line}\n{self.hint}" if self.hint else line

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes: the arguments are keywords."""
        return (type(self), (self.message,), self.__dict__)


class CozeAuthenticationError(CozeError, core.ModelAuthenticationError, ValueError):
    """The token is missing, wrong, expired, or of another Coze site (4100, 700012006, HTTP 401)."""


class CozePermissionError(CozeError, core.ModelPermissionDeniedError, ValueError):
    """The token may not do this (4101, HTTP 403)."""


class CozeNotFoundError(CozeError, core.ModelNotFoundError, ValueError):
    """The bot, chat or conversation does not exist or is not published (4015, 4200, HTTP 404)."""


class CozeInvalidRequestError(CozeError, core.ModelInvalidRequestError, ValueError):
    """The request cannot be right (4000 and its kin, HTTP 400), found here or by Coze."""


class CozeContextLengthError(CozeInvalidRequestError, core.ContextOverflowError):
    """The prompt is longer than the bot's model takes (4010)."""


class CozeContentError(CozeError, _RefusalError, ValueError):
    """Coze refuses the content (4014, 4102, 4105)."""


class CozeRateLimitError(CozeError, core.ModelRateLimitError):
    """Too many requests at the moment (4009, 4020, HTTP 429)."""


class CozeQuotaError(CozeError, ValueError):
    """An allowance is used up or a bill is open (4008, 4011, 4019, 4022, 4027, 4028)."""


class CozeConversationBusyError(CozeError):
    """A chat is already running in this conversation (4016)."""

    is_retryable = True


class CozeServerError(CozeError, core.ModelAPIError):
    """Coze itself failed (5000, 4013, HTTP 5xx)."""


class CozeConnectionError(CozeError, core.ModelConnectionError):
    """Coze could not be reached."""


class CozeTimeoutError(CozeError, core.ModelTimeoutError):
    """Coze took longer than `timeout`, `max_duration` or `poll_timeout` allows."""


class CozeStreamError(CozeError, core.ModelConnectionError):
    """The stream ended before the turn did: the answer is not whole."""


class CozeChatError(CozeError):
    """The chat failed, was canceled, or expired, for a reason the code table does not know."""


class CozeRecallError(CozeError):
    """The search in the knowledge base failed (a recall with a `status_code` other than 0)."""


class CozeWorkflowError(CozeError, ToolException, ValueError):
    """A workflow failed, or cannot be run with these parameters.

    It is a `ToolException`: an agent gets its text, and may try something else.
    """

    @property
    def args(self) -> tuple[str]:  # type: ignore[override] # BaseException has a setter
        """The text that LangChain gives to a model: message, code and hint."""
        return (str(self),)


class CozeWorkflowInterrupt(CozeError, ValueError):  # noqa: N818 - LangGraph's own word for it
    """A workflow asks its user something, where nobody can be asked: outside of a graph.

    `CozeWorkflowTool.resume` goes on with the answer.

    Attributes:
        event_id: What the answer goes to; good for one answer.
        type: What asks: 2 a question node, 5 an input node, 6 a local plugin, 7 an authorisation.
        question: What is asked, as text.
        required_parameters: The values that an input node asks for, by name; empty for a question.
        workflow_id: The workflow.
        pending: All of that, and what else the workflow tells of its question, as plain data.
        run: What the run has told so far, as plain data; see `WorkflowRun`.

    Source: wire section 4.4.
    """

    def __init__(
        self,
        message: str = "",
        *,
        pending: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None,
        **context: Any,
    ) -> None:
        """Make the error of what a run waits for."""
        super().__init__(message, **context)
        self.pending: dict[str, Any] = dict(pending or {})
        self.run: dict[str, Any] = dict(run or {})
        self.event_id: str = self.pending.get("event_id", "")
        self.type: int = self.pending.get("type", 0)
        self.question: str = self.pending.get("question", "")
        self.required_parameters: dict[str, Any] = self.pending.get("required_parameters", {})
        self.workflow_id: str = self.pending.get("workflow_id", "")


def bilingual_hint(en: str, zh: str) -> str:
    """Return the two lines of a hint, as `CozeError.hint` has them.

    Args:
        en: What to do, in English.
        zh: The same in Chinese.

    Example:
        ```python
        from langchain_coze.errors import bilingual_hint

        assert bilingual_hint("Wait.", "请等待。").splitlines() == ["Hint: Wait.", "提示：请等待。"]
        ```
    """
    return f"Hint: {en}\n提示：{zh}"


_E = TypeVar("_E", bound=CozeError)


def convert_error(error: CozeError, kind: type[_E]) -> _E:
    """Return the same error, with all that it tells, as one of another class.

    Args:
        error: Any error.
        kind: The class.

    Example:
        ```python
        from langchain_coze.errors import CozeError, CozeRecallError, convert_error

        assert convert_error(CozeError("oh", code=7), CozeRecallError).code == 7
        ```
    """
    error_of_kind = kind(error.message)
    error_of_kind.__dict__.update(error.__dict__)
    return error_of_kind


def is_retryable(error: BaseException) -> bool:
    """Return whether the same call may be made again: it may succeed, and nothing had started.

    A turn that had started, or may have without our hearing of it, is not repeated: Coze would
    store the user's message twice and bill it twice.

    Args:
        error: Any exception.

    Example:
        ```python
        from langgraph.types import RetryPolicy

        from langchain_coze.errors import is_retryable

        policy = RetryPolicy(max_attempts=3, retry_on=is_retryable)
        ```
    """
    return isinstance(error, CozeError) and error.is_retryable
