"""Errors of workflow runs: a model sees a `CozeWorkflowError`, other classes reach the program."""

from __future__ import annotations

from typing import Any

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
    CozeWorkflowInterrupt,
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
    """Return the error for a failure that a run reports.

    Args:
        code: Coze's code, or None.
        message: Coze's message.
        **context: Other attributes of `CozeError`: logid, debug_url, …

    Returns:
        A `CozeWorkflowError`, or the class of the code if other parameters cannot help: token,
        permission, publishing, quota, rate.
    """
    error = make_error(code, message, default=CozeWorkflowError, **context)
    return error if isinstance(error, _NOT_FOR_MODELS) else _to_workflow_error(error)


_LATE_ANSWER = bilingual_hint(
    "Coze refused the answer. The run may have received it already, for instance from a process "
    "that was killed, and its result is not known here; or the answer does not fit the question. "
    "Look at the run in Coze first: another run would do everything a second time.",
    "扣子拒绝了该回答。该次运行可能此前已收到它（例如由被终止的进程发送），其结果在此处未知；"
    "也可能回答与问题不符。请先在扣子中查看该次运行：再发起一次会把所有操作重复执行。",
)


def map_refusal(error: CozeError, *, is_answer: bool = False) -> CozeError:
    """Return the error for a start or an answer that Coze refused.

    Args:
        error: The error that the reply reports.
        is_answer: Whether an answer was refused, which means that the run no longer waits for it.

    Returns:
        A `CozeWorkflowError` if the parameters, a node or the answer are at fault, or if the run
        has ended; otherwise the same error.
    """
    is_known = error.code is None or is_listed(error) or isinstance(error, CozeServerError)
    is_late = is_answer and isinstance(error, (CozeInvalidRequestError, CozeNotFoundError))
    if is_late:
        workflow_error = _to_workflow_error(error)
        workflow_error.hint = _LATE_ANSWER
        return workflow_error
    is_run_error = not is_known or error.code == _BAD_REQUEST
    return _to_workflow_error(error) if is_run_error else error


def make_unknown_interrupt(execute_id: str, **context: Any) -> CozeWorkflowInterrupt:
    """Return the error of a run that waits for its user if the server does not say for what.

    Args:
        execute_id: The run.
        **context: Further arguments of the error.
    """
    return CozeWorkflowInterrupt(
        f"The workflow waits for its user, but the server names no question (execute_id "
        f"{execute_id}).",
        hint=bilingual_hint(
            "Coze Studio does not report the questions of asynchronous runs: use "
            "run_mode='stream' (or 'auto').",
            "Coze Studio 不会给出异步运行中的提问：请使用 run_mode='stream'（或 'auto'）。",
        ),
        **context,
    )


def _to_workflow_error(error: CozeError) -> CozeWorkflowError:
    workflow_error = convert_error(error, CozeWorkflowError)
    if not is_listed(error):  # the code comes from a node
        workflow_error.hint = bilingual_hint(
            "A node of the workflow failed: try other parameters, or look at its trace in Coze.",
            "工作流的某个节点运行失败：请更换参数，或在扣子中查看运行日志。",
        )
    return workflow_error
