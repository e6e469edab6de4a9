"""What tests with recordings of a real Coze Studio share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from langchain_coze import ChatCoze
from tests.integration_tests.scripted_server import ScriptedServer

_FOLDER = Path(__file__).parent.parent / "recordings" / "studio"


def read_recording(name: str) -> bytes:
    (path,) = _FOLDER.glob(f"{name}.*")
    return path.read_bytes()


def make_model(address: ScriptedServer, /, **fields: Any) -> ChatCoze:
    known: dict[str, Any] = {"api_key": "t", "base_url": address.base_url, "poll_interval": 0.01}
    place = {} if "workflow_id" in fields else {"bot_id": "7713922228458356736"}
    return ChatCoze(**(known | place | fields))


def with_head(body: bytes) -> bytes:
    """Return a recorded body as a whole reply, with the content type that it had."""
    kind = "application/json" if body.startswith(b"{") else "text/event-stream"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Log-Id: 1\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def make_poll_replies(retrieve: str, messages: str) -> list[bytes]:
    """Return the replies of a polled turn: its start, its end, its messages."""
    end = json.loads(read_recording(retrieve))
    start = end | {"data": end["data"] | {"status": "in_progress"}}
    return [json.dumps(start).encode(), read_recording(retrieve), read_recording(messages)]
