"""Parse the event stream of a workflow at coze.site. No I/O.

`workflow_end` contains only the update of the last node, so the output is merged from the outputs
of all nodes (wire section 9.3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.error_codes import make_truncated_error
from langchain_coze._api.models import parse_json
from langchain_coze._api.site_errors import make_event_error
from langchain_coze._api.sse import Decoder
from langchain_coze.errors import CozeError, CozeInvalidRequestError

_ENDS = frozenset({"workflow_end", "done"})  # Coze documents the second one
_NODE_EVENTS = frozenset({"node_start", "node_end"})
_AGENT_FRAMES = frozenset({"message_start", "answer", "message_end"})


class SiteRunParser:
    """Collects the outputs of a run.

    Attributes:
        run_id: The id of the run; None until it is known.
        logid: The log id of the run; None until it is known.
        outputs: The outputs of all nodes so far, merged.
        last_output: The output of the event that ended the run.
        messages: The node events so far, as the project sent them.
        is_finished: Whether the run has ended.
    """

    def __init__(self, *, logid: str | None = None, token: str = "") -> None:
        """Create a parser for one run."""
        self.run_id: str | None = None
        self.logid = logid
        self.outputs: dict[str, Any] = {}
        self.last_output: Any = None
        self.messages: list[dict[str, Any]] = []
        self.is_finished = False
        self._token = token
        self._decoder = Decoder()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Parse the next bytes; return the new messages for a `ProgressReporter`."""
        progress: list[dict[str, Any]] = []
        for event in self._decoder.feed(data):
            body = parse_json(event.data)
            if self.is_finished or not isinstance(body, dict):
                continue
            progress += self._handle_event(body)
        return progress

    def close(self) -> None:
        """Handle the end of the stream."""
        if not self.is_finished:
            message = "The stream ended before the workflow did."
            raise make_truncated_error(message, **self.collect_error_context())

    def collect_error_context(self) -> dict[str, Any]:
        """Return the ids for errors of this run."""
        return {"logid": self.logid, "run_id": self.run_id}

    def _handle_event(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        kind, output = str(body.get("type")), body.get("output")
        self.run_id = self.run_id or _to_id(body.get("run_id"))
        self.logid = self.logid or _to_id(body.get("log_id"))
        if kind == "error":
            raise self._make_error(body)
        if kind in _AGENT_FRAMES:
            message = "This project is an agent, not a workflow."
            raise CozeInvalidRequestError(
                message, hint=site_hints.AGENT_PROJECT, **self.collect_error_context()
            )
        if kind in _ENDS:
            self.last_output = output
            self.is_finished = True
        if isinstance(output, Mapping):
            self.outputs.update(output)
        if kind not in _NODE_EVENTS:
            return []
        self.messages.append(body)
        text = "" if output is None else json.dumps(output, ensure_ascii=False)
        is_end = kind == "node_end"
        return [{"node_title": body.get("node_name"), "content": text, "node_is_finish": is_end}]

    def _make_error(self, body: Mapping[str, Any]) -> CozeError:
        message = body.get("error_msg") or body.get("message")
        context = {**self.collect_error_context(), "is_workflow": True, "may_have_started": True}
        return make_event_error(body, body.get("code"), message, self._token, **context)


def _to_id(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
