"""Polling a chat of the local server."""

from __future__ import annotations

from typing import Any

from tests.conftest import wait_until
from tests.integration_tests.local.local_client import LocalClient


def wait_for_chat(client: LocalClient, chat: Any) -> Any:
    """Retrieve a chat until it has ended or waits for tool outputs; return the last reply."""
    ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}

    def get_last_reply() -> Any:
        reply = client.get("/v3/chat/retrieve", **ids)
        return reply if reply["data"]["status"] not in {"created", "in_progress"} else None

    return wait_until(get_last_reply)
