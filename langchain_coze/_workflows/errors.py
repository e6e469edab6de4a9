"""Errors of workflow runs: a model gets a `CozeWorkflowError` as text, other classes are raised."""

from __future__ import annotations

from typing import Any

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import is_listed, make_error
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeWorkflowError,
    convert_error,
)

_NOT_FOR_MODELS = (
    CozeAuthenticationError,
    CozePermissionError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeRateLimitError,
)
_BAD_REQUEST = 4000


def make_run_error(code: int | None, message: str, **context: Any) -> CozeError:
    """Return the error for a failed run, with Coze's code and message.

    It is a `CozeWorkflowError`, or the class for its code if other parameters cannot help: token,
    permission, publishing, quota, rate.
    """
    error = make_error(code, message, default=CozeWorkflowError, **context)
    return error if isinstance(error, _NOT_FOR_MODELS) else _to_workflow_error(error)


def map_refusal(error: CozeError, *, is_answer: bool = False) -> CozeError:
    """Return the error for a start or an answer that Coze rejected.

    It is a `CozeWorkflowError` if the parameters, a node or the answer are at fault, or if the run
    no longer waits for the answer; otherwise it is the same error.
    """
    if is_answer and isinstance(error, (CozeInvalidRequestError, CozeNotFoundError)):
        return convert_error(
            error, CozeWorkflowError, hint=hints.ANSWER_REFUSED, may_have_started=True
        )
    is_known = error.code is None or is_listed(error) or isinstance(error, CozeServerError)
    return error if is_known and error.code != _BAD_REQUEST else _to_workflow_error(error)


def _to_workflow_error(error: CozeError) -> CozeWorkflowError:
    hint = error.hint if is_listed(error) else hints.NODE_FAILED  # the code comes from a node
    return convert_error(error, CozeWorkflowError, hint=hint)
