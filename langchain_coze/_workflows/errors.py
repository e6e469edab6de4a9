"""Errors of workflow runs: a model sees a `CozeWorkflowError`, other classes reach the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
    CozeUnknownResultError,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    bilingual_hint,
    convert_error,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze._workflows.workflow_run import WorkflowState

_NOT_FOR_MODELS = (
    CozeAuthenticationError,
    CozePermissionError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeRateLimitError,
)
_BAD_REQUEST = 4000
_MAX_PARAMETERS = 300  # characters of the parameters that an error quotes


def make_run_error(code: int | None, message: str, **context: Any) -> CozeError:
    """Return the error for a failure that a run reports, with Coze's code and message.

    It is a `CozeWorkflowError`, or has the class of its code if other parameters cannot help:
    token, permission, publishing, quota, rate.
    """
    error = make_error(code, message, default=CozeWorkflowError, **context)
    return error if isinstance(error, _NOT_FOR_MODELS) else _to_workflow_error(error)


_LATE_ANSWER = bilingual_hint(
    "Coze refused the answer. The run may have received it already, for instance from a process "
    "that was killed, and then its result is not known; or the answer does not fit the question. "
    "Look at the run in Coze first: another run would repeat all of its actions.",
    "扣子拒绝了该回答。该次运行可能此前已收到该回答（例如由已被终止的进程发送），此时结果未知；"
    "也可能回答与问题不符。请先在扣子中查看该次运行：再次运行会重复执行所有操作。",
)


def map_refusal(error: CozeError, *, is_answer: bool = False) -> CozeError:
    """Return the error for a start or an answer that Coze refused.

    It is a `CozeWorkflowError` if the parameters, a node or the answer are at fault, or if the run
    no longer waits for the answer; otherwise it is the same error.
    """
    if is_answer and isinstance(error, (CozeInvalidRequestError, CozeNotFoundError)):
        return convert_error(error, CozeWorkflowError, hint=_LATE_ANSWER, may_have_started=True)
    is_known = error.code is None or is_listed(error) or isinstance(error, CozeServerError)
    return error if is_known and error.code != _BAD_REQUEST else _to_workflow_error(error)


_UNKNOWN_START = bilingual_hint(
    "The process that started the workflow ended, or lost the connection, before it knew the "
    "result. Look in Coze for a run of this workflow at this time. If there is one, put its result "
    "into the thread, in an agent with graph.update_state(config, {'messages': [ToolMessage(…)]}, "
    "as_node='tools'). Otherwise graph.invoke(None, graph.get_state(config).config) starts it; "
    "for a graph of create_workflow_graph, pass the input again.",
    "启动该工作流的进程在得知结果之前已退出或断开连接。请在扣子中查找该工作流在此时间的运行记录。"
    "如果存在，请将其结果写入线程，在 agent 中使用 graph.update_state(config, {'messages': "
    "[ToolMessage(…)]}, as_node='tools')。如果不存在，请用 graph.invoke(None, "
    "graph.get_state(config).config) 启动；create_workflow_graph 创建的图请重新传入输入。",
)
_UNKNOWN_ANSWER = bilingual_hint(
    "The process that sent the answer ended, or lost the connection, before it knew the "
    "result. Look at the run in Coze and put its result into the thread, in an agent with "
    "graph.update_state(config, {'messages': [ToolMessage(…)]}, as_node='tools'). Another run "
    "would repeat all of its actions.",
    "发送该回答的进程在得知结果之前已退出或断开连接。请在扣子中查看该次运行，并将其结果写入线程，"
    "在 agent 中使用 graph.update_state(config, {'messages': [ToolMessage(…)]}, "
    "as_node='tools')。再次运行会重复执行所有操作。",
)


def make_unknown_result(state: WorkflowState) -> CozeUnknownResultError:
    """Return the error for the announced attempt of a state, whose result is not known."""
    attempt, pending = state["attempt"] or {}, state.get("pending")
    details = {"workflow_id": attempt["workflow_id"], "time": attempt["time"]}
    run: Mapping[str, Any] = {}
    if pending:
        run = state.get("run") or {}
        details |= {"execute_id": run.get("execute_id"), "event_id": pending.get("event_id")}
    else:
        values = json.dumps(state.get("parameters") or {}, ensure_ascii=False, default=str)
        details["parameters"] = redact(values)[:_MAX_PARAMETERS]
    details["tool_call_id"] = attempt["tool_call_id"]
    known = ", ".join(f"{name} {value}" for name, value in details.items() if value)
    action = "received the answer" if pending else "started the run"
    return CozeUnknownResultError(
        f"Coze may already have {action}; the result is not known ({known}).",
        hint=_UNKNOWN_ANSWER if pending else _UNKNOWN_START,
        debug_url=run.get("debug_url"),
        logid=run.get("logid"),
        may_have_started=True,
    )


def make_unknown_interrupt(execute_id: str, **context: Any) -> CozeWorkflowInterrupt:
    """Return the error of a run that asks a question, which the server does not return."""
    return CozeWorkflowInterrupt(
        "The workflow waits for an answer, but the server does not return the question "
        f"(execute_id {execute_id}).",
        hint=bilingual_hint(
            "Coze Studio does not report the questions of asynchronous runs: use "
            "run_mode='stream' (or 'auto').",
            "Coze Studio 不会给出异步运行中的提问：请使用 run_mode='stream'（或 'auto'）。",
        ),
        **context,
    )


def _to_workflow_error(error: CozeError) -> CozeWorkflowError:
    hint = error.hint
    if not is_listed(error):  # the code comes from a node
        hint = bilingual_hint(
            "A node of the workflow failed: try other parameters, or look at its trace in Coze.",
            "工作流的某个节点运行失败：请更换参数，或在扣子中查看运行日志。",
        )
    return convert_error(error, CozeWorkflowError, hint=hint)
