"""The asynchronous runs of a project (wire 9)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from langchain_coze.local.project.failures import FailedRunError

if TYPE_CHECKING:
    from collections.abc import Awaitable

logger = logging.getLogger(__name__)

_DEFAULT_DEADLINE = 24 * 3600  # seconds
_MAX_MESSAGE = 1000


class Task:
    """One asynchronous run.

    Args:
        task_id: Its id.
        seconds: The maximum duration; None for a day.
    """

    def __init__(self, task_id: str, seconds: int | None) -> None:
        """Create a task without running it."""
        now = datetime.now(UTC)
        self._deadline = now + timedelta(seconds=seconds or _DEFAULT_DEADLINE)
        self._row: dict[str, Any] = {
            "task_id": task_id,
            "status": "pending",
            "claim_count": 0,
            "created_at": now.isoformat(),
            "started_at": None,
            "completed_at": None,
            "heartbeat_at": None,
            "deadline": self._deadline.isoformat(),
            "result": None,
            "error": None,
        }

    def build_submission(self) -> dict[str, Any]:
        """Return the reply of `/async_run`."""
        return {name: self._row[name] for name in ("task_id", "status", "created_at", "deadline")}

    def build_reply(self) -> dict[str, Any]:
        """Return the reply of `/task`. A late task continues to run, but is reported as failed."""
        if self._row["completed_at"] is None and datetime.now(UTC) > self._deadline:
            self._end("timeout", error={"code": "deadline_exceeded", "message": None})
        return self._row

    async def execute(self, run: Awaitable[Any]) -> None:
        """Run the task to its end. Raises nothing unless the server stops."""
        now = datetime.now(UTC).isoformat()
        self._row |= {"status": "running", "claim_count": 1, "started_at": now, "heartbeat_at": now}
        try:
            result = to_jsonable_python(await run, fallback=str)
        except FailedRunError as error:
            self._fail(error.failure.code, error.failure.message)
        except Exception as error:
            logger.exception("The task failed")
            self._fail(type(error).__name__, str(error))
        else:
            self._end("completed", result=_sort_keys(result))

    def _fail(self, code: str, text: str) -> None:
        self._end("failed", error={"code": code, "message": text[:_MAX_MESSAGE]})

    def _end(self, status: str, **fields: Any) -> None:
        if self._row["completed_at"] is None:
            now = datetime.now(UTC).isoformat()
            ended = {"status": status, "completed_at": now, "heartbeat_at": None}
            self._row |= {**ended, **fields}


def _sort_keys(value: Any) -> Any:
    """Sort keys like the database: by length, then by their bytes."""
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _sort_keys(value[key]) for key in keys}
    return [_sort_keys(item) for item in value] if isinstance(value, list) else value
