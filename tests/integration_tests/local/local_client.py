"""A bare HTTP client of the local server, for tests."""

import json
import re
from typing import Any, Self

import httpx

from langchain_coze.local import LocalBot, LocalCoze

QUESTION = "hi"


def user(text: str = QUESTION, **fields: Any) -> dict[str, Any]:
    return {
        "role": "user",
        "type": "question",
        "content": text,
        "content_type": "text",
    } | fields


class LocalClient:
    """Sends requests with the server's token."""

    def __init__(self, coze: LocalCoze, bot: LocalBot | None = None) -> None:
        self.coze = coze
        self.bot = bot or coze.bots[0]
        self.http = httpx.Client(
            base_url=coze.base_url,
            headers={"Authorization": f"Bearer {coze.token}"},
            timeout=20,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def body(self, **changes: Any) -> dict[str, Any]:
        return {
            "bot_id": self.bot.bot_id,
            "user_id": "u1",
            "stream": True,
            "additional_messages": [user()],
        } | changes

    def chat(
        self, *, fault: str = "", conversation_id: str | None = None, **changes: Any
    ) -> httpx.Response:
        headers = {"X-Local-Fault": fault} if fault else {}
        params = {"conversation_id": conversation_id} if conversation_id else {}
        body = self.body(**changes)
        return self.http.post("/v3/chat", json=body, params=params, headers=headers)

    def get(self, path: str, **params: str) -> Any:
        return self.http.get(path, params=params).json()

    def created(self, **changes: Any) -> Any:
        return self.chat(stream=False, **changes).json()["data"]


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """Names and decoded data of a stream in the plain dialect."""
    found = re.findall(r"event:(.*)\ndata:(.*)\n\n", response.content.decode())
    return [(name, json.loads(data)) for name, data in found]


def answers(response: httpx.Response) -> list[str]:
    """The completed answers of a stream."""
    return [
        data["content"]
        for name, data in events(response)
        if name == "conversation.message.completed" and data["type"] == "answer"
    ]


def masked(stream: bytes) -> str:
    """A stream with every id replaced by A, B, C… in order of appearance, and times by 0."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"<{len(names)}>")

    text = re.sub(r"_at\":\d{10}", '_at":0', stream.decode())
    return re.sub(r"\b7\d{18}\b", name, text)
