"""The errors of langchain-coze: one class per condition, with Coze's error code, log id and a hint.

Coze reports errors as a JSON `code`, often with HTTP status 200 (wire sections 1.4, 1.5 and 7).
Every failure is a `CozeError`. Most classes also derive from the matching `ModelError` of
`langchain_core.exceptions`, so that existing handlers of LangChain's errors work. Permanent errors
are also `ValueError`s, because LangGraph's default retry policy does not retry those.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

from langchain_core import exceptions as core
from langchain_core.exceptions import ModelError
from langchain_core.tools.base import ToolException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    _RefusalError = ModelError
else:  # `ModelRefusalError` is new in langchain-core 1.7.5
    _RefusalError = getattr(core, "ModelRefusalError", ModelError)

_TOKEN = re.compile(r"\b(pat|sat|czu|czs|cztei)_[A-Za-z0-9._-]{4,}")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*")
_MIN_SECRET_LENGTH = 8  # a shorter secret could be part of an ordinary word
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',;]{8,}")


def redact(text: str, *secrets: str) -> str:
    """Return `text` with everything that looks like a Coze token masked.

    Args:
        text: Any text, for example a server's response.
        *secrets: Further strings to mask.

    Returns:
        The text, with each token replaced by `pat_***` or `***`.

    Example:
        ```python
        from langchain_coze.errors import redact

        assert redact("token pat_abcdef123 refused") == "token pat_*** refused"
        ```
    """
    text = _BEARER.sub(r"\1 ***", _JWT.sub("eyJ***", _TOKEN.sub(r"\1_***", text)))
    for secret in filter(None, secrets):
        for form in {secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/")}:
            if len(secret) >= _MIN_SECRET_LENGTH:
                text = text.replace(form, "***")
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)
    return text


class ErrorResponse(NamedTuple):
    """The server's response, kept for traces (LangSmith reads `json` and `headers`).

    Attributes:
        status_code: The HTTP status.
        headers: The headers that are useful for support: content type, log id, retry-after.
        text: The first 2,000 characters of the body, with tokens masked.
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


class CozeError(ModelError):
    """Base class of the errors of this package. Errors are immutable: see `with_context`.

    Attributes:
        code: Coze's error code (int), or None.
        message: What happened; Coze's message if it sent one.
        status_code: The HTTP status, or None.
        logid: Coze's log id, which Coze's support needs. Also available as `request_id`.
        debug_url: The page with the trace of a run, if Coze sent one.
        hint: What to do, in one English and one Chinese line, or None.
        response: The server's response as an `ErrorResponse`, or None.
        chat_id: The chat that was started, or None.
        conversation_id: Its conversation, or None.
        reason: A code that is a word, for instance `TIMEOUT` (coze.site), or None.
        run_id: The run at coze.site, or None.
        session_id: Its session, or None.
        retry_after: Seconds to wait, as requested by the server, or None.
        may_have_started: Whether the request may have started something in Coze.
        retries_exhausted: Whether all allowed retries have been used.
        failed: The documents of an upload that are not in the knowledge base, or not known to be
            usable there, by id, each with the reason; or None.
        succeeded: The ids of the others, or None.

    Source: wire sections 1.3 to 1.5 and 7.
    """

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
        reason: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        retry_after: float | None = None,
        may_have_started: bool = False,
        retries_exhausted: bool = False,
        failed: Mapping[str, str] | None = None,
        succeeded: Sequence[str] | None = None,
    ) -> None:
        """Create the error; tokens in `message` are masked."""
        self.message: Final = redact(message)
        super().__init__(self.message)
        self.code: Final = code
        self.status_code: Final = status_code
        self.logid: Final = logid
        self.debug_url: Final = debug_url
        self.hint: Final = hint
        self.response: Final = response
        self.chat_id: Final = chat_id
        self.conversation_id: Final = conversation_id
        self.reason: Final = reason
        self.run_id: Final = run_id
        self.session_id: Final = session_id
        self.retry_after: Final = retry_after
        self.may_have_started: Final = may_have_started
        self.retries_exhausted: Final = retries_exhausted
        self.failed: Final = None if failed is None else dict(failed)
        self.succeeded: Final = None if succeeded is None else list(succeeded)

    if not TYPE_CHECKING:  # LangChain declares a class attribute

        @property
        def is_retryable(self) -> bool:
            """Whether the same call may succeed later and nothing has started in Coze."""
            return super().is_retryable and not (self.may_have_started or self.chat_id)

    def with_context(self, **attributes: Any) -> Self:
        """Return a copy of this error with other values for some attributes.

        Args:
            **attributes: The new values, by name.

        Example:
            ```python
            from langchain_coze.errors import CozeTimeoutError

            error = CozeTimeoutError("Coze did not answer.")
            assert error.is_retryable
            assert not error.with_context(may_have_started=True).is_retryable
            ```
        """
        return convert_error(self, type(self), **attributes)

    @property
    def request_id(self) -> str | None:
        """The log id under the name that LangSmith looks for."""
        return self.logid

    def __str__(self) -> str:
        """Return the message with code, log id, ids of the turn and hint."""
        values = {
            "code": self.code,
            "reason": self.reason,
            "HTTP": self.status_code if self.code is None else None,
            "logid": self.logid,
            "chat_id": self.chat_id,
            "conversation_id": self.conversation_id,
            "run_id": self.run_id,
            "session_id": self.session_id,
            "debug_url": self.debug_url,
        }
        context = ", ".join(
            f"{name} {value}" for name, value in values.items() if value is not None
        )
        line = f"{self.message or type(self).__name__}{f' ({context})' if context else ''}"
        return f"{line}\n{self.hint}" if self.hint else line

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes, because the constructor's arguments are keyword-only."""
        return (type(self), (self.message,), self.__dict__)


class CozeAuthenticationError(CozeError, core.ModelAuthenticationError, ValueError):
    """The token is missing, invalid, expired or from another site (4100, 700012006, 401)."""


class CozePermissionError(CozeError, core.ModelPermissionDeniedError, ValueError):
    """The token lacks a permission (4101, HTTP 403)."""


class CozeNotFoundError(CozeError, core.ModelNotFoundError, ValueError):
    """The bot, chat or conversation does not exist or is not published (4015, 4200, HTTP 404)."""


class CozeInvalidRequestError(CozeError, core.ModelInvalidRequestError, ValueError):
    """The request is invalid (4000 and related codes, HTTP 400), as detected locally or by Coze."""


class CozeContextLengthError(CozeInvalidRequestError, core.ContextOverflowError):
    """The prompt exceeds the context length of the bot's model (4010)."""


class CozeContentError(CozeError, _RefusalError, ValueError):
    """Coze rejected the content (4014, 4102, 4105)."""


class CozeRateLimitError(CozeError, core.ModelRateLimitError):
    """There are too many requests at the moment (4009, 4020, HTTP 429)."""


class CozeQuotaError(CozeError, ValueError):
    """A quota is used up or a bill is unpaid (4008, 4011, 4019, 4022, 4027, 4028)."""


class _TemporaryError(ModelError):
    """Base of temporary errors for which LangChain has no class."""

    is_retryable = True


class CozeConversationBusyError(CozeError, _TemporaryError):
    """A chat is already running in this conversation (4016)."""


class CozeServerError(CozeError, core.ModelAPIError):
    """Coze itself failed (5000, 4013, HTTP 5xx)."""


class CozeConnectionError(CozeError, core.ModelConnectionError):
    """Coze could not be reached."""


class CozeTimeoutError(CozeError, core.ModelTimeoutError):
    """Coze took longer than `timeout`, `max_duration` or `poll_timeout` allows."""


class CozeStreamError(CozeError, core.ModelConnectionError):
    """The stream ended before the turn did; the answer is incomplete."""


class CozeChatError(CozeError):
    """The chat failed, was canceled or expired, and its code has no class of its own."""


class CozeRecallError(CozeError):
    """The knowledge base search failed (a recall with a `status_code` other than 0)."""


class CozeKnowledgeError(CozeError):
    """Coze accepted documents, but could not process all of them; see `failed`, `succeeded`."""


class CozeWorkflowError(CozeError, ToolException, ValueError):
    """A workflow failed, or cannot run with these parameters.

    It is a `ToolException`: an agent can get its text as the result of the tool and react to it.
    """

    if not TYPE_CHECKING:  # BaseException declares an attribute

        @property
        def args(self) -> tuple[str]:
            """The text that LangChain passes to a model: message, code and hint."""
            return (str(self),)


class CozeUnknownResultError(CozeError, ValueError):
    """Coze may have started a run or received an answer, but the result is unknown.

    This happens if the process ends, or the connection is lost, during the request. Nothing is sent
    again; the message contains the known ids, so that you can look up the run in Coze.
    """


class CozeWorkflowInterrupt(CozeError, ValueError):  # noqa: N818 - an interrupt, as in LangGraph
    """A workflow asks a question outside a graph, where it cannot be answered.

    `CozeWorkflowTool.resume` continues the run with an answer.

    Attributes:
        event_id: Identifies the question; valid for one answer.
        type: The kind of interrupt: 2 question node, 5 input node, 6 local plugin, 7 authorization.
        question: The question as text.
        required_parameters: The values that an input node requires, by name; empty for a question.
        workflow_id: The workflow.
        pending: All of the above and further details of the question, as plain data.
        run: The run so far, as plain data; see `WorkflowRun`.

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
        """Create the error from a pending question and the run so far."""
        super().__init__(message, **context)
        self.pending: Final[dict[str, Any]] = dict(pending or {})
        self.run: Final[dict[str, Any]] = dict(run or {})
        self.event_id: Final[str] = self.pending.get("event_id", "")
        self.type: Final[int] = self.pending.get("type", 0)
        self.question: Final[str] = self.pending.get("question", "")
        self.required_parameters: Final[dict[str, Any]] = self.pending.get(
            "required_parameters", {}
        )
        self.workflow_id: Final[str] = self.pending.get("workflow_id", "")


_E = TypeVar("_E", bound=CozeError)


def convert_error(error: CozeError, error_class: type[_E], **attributes: Any) -> _E:
    """Return a copy of an error as another class, with all attributes, cause and traceback.

    Args:
        error: Any error.
        error_class: The class of the copy.
        **attributes: New values of attributes, by name.

    Raises:
        TypeError: There is no attribute with one of the names.
    """
    if unknown := attributes.keys() - vars(error).keys():
        raise TypeError(f"A {error_class.__name__} has no {', '.join(unknown)}.")
    message = redact(attributes.get("message", error.message))
    converted = error_class(message)
    converted.__setstate__({**vars(error), **attributes, "message": message})
    converted.__cause__ = error.__cause__
    return converted.with_traceback(error.__traceback__)


def is_retryable(error: BaseException) -> bool:
    """Return whether the same call may succeed later and nothing has started in Coze.

    A call that has started a turn, or may have, must not be repeated: Coze would store and bill the
    user's message twice.

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
