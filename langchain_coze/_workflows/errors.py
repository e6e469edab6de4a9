"""The errors of runs: what an agent can read, and what its program has to know."""

from __future__ import annotations

from typing import Any

from langchain_coze._api.error_codes import CODES, make_error
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
    bilingual_hint,
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
    """Return the error for what a run reports.

    Args:
        code: Coze's code, or None.
        message: Coze's message.
        **context: Further attributes of `CozeError`: logid, debug_url, …

    Returns:
        A `CozeWorkflowError`; or the error of the code where no other parameters would help: token,
        permission, publishing, quota, rate.
    """
    error = make_error(code, message, default=CozeWorkflowError, **context)
    return error if isinstance(error, _NOT_FOR_MODELS) else _to_workflow_error(error)


def map_refusal(error: CozeError, *, is_answer: bool = False) -> CozeError:
    """Return the error for a request that Coze refused to run.

    Args:
        error: What the reply reports.
        is_answer: Whether an answer was refused: the run does not wait for it any more.

    Returns:
        A `CozeWorkflowError` where the parameters, a node or the answer are at fault, or where the
        run has ended; else the same error.
    """
    is_known = error.code is None or error.code in CODES or isinstance(error, CozeServerError)
    is_late = is_answer and isinstance(error, (CozeInvalidRequestError, CozeNotFoundError))
    of_the_run = not is_known or is_late or error.code == _BAD_REQUEST
    return _to_workflow_error(error) if of_the_run else error


def _to_workflow_error(error: CozeError) -> CozeWorkflowError:
    error_of_run = convert_error(error, CozeWorkflowError)
    if error_of_run.code not in CODES:  # a node's own
        error_of_run.hint = bilingual_hint(
            "A node of the workflow failed: try other parameters, or look at its trace in Coze.",
            "工作流的某个节点运行失败：请更换参数，或在扣子中查看运行日志。",
        )
    return error_of_run
