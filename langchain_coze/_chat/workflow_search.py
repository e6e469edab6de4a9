"""Search a knowledge base with a workflow: run it, and read the chunks from its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._api.replies import collect_error_context
from langchain_coze._api.workflows import build_run_request, run_workflow
from langchain_coze._chat.request import build_run_body
from langchain_coze._chat.search import collect_chunks
from langchain_coze._convert.recall import parse_items, parse_payload
from langchain_coze._convert.workflow_output import find_list, unwrap
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeRecallError,
    convert_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze._api.effects import Flow
    from langchain_coze._chat.options import ChatOptions

_PAYLOAD_KEYS = frozenset({"chunks", "status_code"})  # a bot's recall, as the output of a workflow
_BAD_REQUEST_CODE = 4000


def recall_from_workflow(
    options: ChatOptions, inputs: Mapping[str, Any], output_path: str | None
) -> Flow[list[dict[str, Any]]]:
    """Run a workflow with a knowledge node and return the chunks in its output.

    Args:
        options: The options of the call.
        inputs: Values of its start node.
        output_path: The path of the list in its output; see `find_list`.

    Raises:
        CozeInvalidRequestError: The output has no list, or several.
        CozeRecallError: The workflow failed, or asked its user a question.
        CozeError: Any other error that Coze reports.
    """
    try:
        reply, run = yield from run_workflow(
            build_run_request(build_run_body(options, inputs)), options.retry_policy
        )
    except CozeError as error:
        if type(error) is CozeError:  # a node's code, which is not in the table
            raise convert_error(error, CozeRecallError) from error
        if error.code == _BAD_REQUEST_CODE:
            raise error.with_context(hint=hints.QUERY_PARAMETER) from error.__cause__
        raise
    context = {
        **collect_error_context(reply),
        "status_code": None,
        "debug_url": run.debug_url or None,
    }
    if run.interrupt is not None:
        raise CozeRecallError(
            "The workflow asked its user a question instead of returning documents.",
            hint=hints.SEARCH_WITH_QUESTION,
            **context,
        )
    output = unwrap(run.data)
    if output_path is None and isinstance(output, dict) and output.keys() >= _PAYLOAD_KEYS:
        return collect_chunks([parse_payload(output)], context)
    try:
        items = find_list(output, output_path)
    except CozeInvalidRequestError as error:
        raise error.with_context(**context) from error.__cause__
    return collect_chunks([parse_items(items)], context)
