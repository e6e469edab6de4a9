"""The wire shapes of one kind of Coze installation.

`CloudProfile` writes what coze.cn and coze.com write. The key order is theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langchain_coze.local import gojson
from langchain_coze.local.knowledge import RecalledChunk

__all__ = ["ChatFacts", "CloudProfile", "Event", "MessageIds"]

# Accounts that never existed. Real recall messages carry such numbers in ori_req, bare and above
# 2**53; a client must keep them out of documents, traces and logs.
_FAKE_OWNER = 7_401_234_567_890_123_001
_FAKE_SPACE = 7_402_234_567_890_123_002
_FAKE_KEY = 7_403_234_567_890_123_003


class Event(NamedTuple):
    """One event of a stream: its name, and the JSON text of its data."""

    name: str
    data: str


@dataclass(frozen=True, slots=True)
class MessageIds:
    """The ids that every message of one turn carries."""

    conversation_id: str
    bot_id: str
    chat_id: str
    section_id: str


@dataclass(slots=True)
class ChatFacts:
    """What a chat object tells besides its status.

    Attributes:
        ids: The ids of the chat.
        created_at: Unix time in seconds.
        ended_at: Unix time in seconds; 0 until it ends.
        meta_data: The caller's own pairs.
        last_error: ``code`` and ``msg``.
        usage: Input and output tokens so far.
        tool_calls: The calls that wait for the client, as on the wire.
    """

    ids: MessageIds
    created_at: int
    ended_at: int = 0
    meta_data: Mapping[str, str] = field(default_factory=dict)
    last_error: Mapping[str, Any] = field(default_factory=lambda: {"code": 0, "msg": ""})
    usage: tuple[int, int] = (0, 0)
    tool_calls: Sequence[Mapping[str, Any]] = ()


class CloudProfile:
    """coze.cn and coze.com (wire 2 and 3, appendix B ``cloud.chat``)."""

    name = "cloud"
    done = Event("done", '"[DONE]"')
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
    }

    @staticmethod
    def encode(event: Event) -> bytes:
        """Bytes of an event in this dialect: no space after the colon, one data line."""
        return f"event:{event.name}\ndata:{event.data}\n\n".encode("utf-8", "replace")

    @staticmethod
    def chat(facts: ChatFacts, status: str) -> dict[str, Any]:
        """A chat object (wire 2.2)."""
        chat: dict[str, Any] = {
            "id": facts.ids.chat_id,
            "conversation_id": facts.ids.conversation_id,
            "bot_id": facts.ids.bot_id,
            "created_at": facts.created_at,
        }
        if status in {"completed", "failed"}:
            chat["completed_at"] = facts.ended_at
        if status == "failed":
            chat["failed_at"] = facts.ended_at
        if facts.meta_data:
            chat["meta_data"] = dict(facts.meta_data)
        chat |= {"last_error": dict(facts.last_error), "status": status}
        chat["usage"] = _usage(0, 0)
        if status == "completed":
            chat["usage"] = _usage(*facts.usage) | {"input_tokens_details": {"cached_tokens": 0}}
        if status == "requires_action":
            chat["required_action"] = {
                "type": "submit_tool_outputs",
                "submit_tool_outputs": {"tool_calls": list(facts.tool_calls)},
            }
        chat["section_id"] = facts.ids.section_id
        return chat

    @staticmethod
    def message(ids: MessageIds, message_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A message object.

        Args:
            ids: Ids of its turn.
            message_id: Its own id.
            fields: ``type``, ``content``, and optionally ``content_type``, ``reasoning_content``,
                ``created_at`` and ``updated_at``; the last three are left out when not given.
        """
        message: dict[str, Any] = {
            "id": message_id,
            "conversation_id": ids.conversation_id,
            "bot_id": ids.bot_id,
            "role": "assistant",
            "type": fields["type"],
            "content": fields["content"],
            "content_type": fields.get("content_type", "text"),
            "chat_id": ids.chat_id,
            "section_id": ids.section_id,
        }
        for name in ("reasoning_content", "created_at", "updated_at"):
            if name in fields:
                message[name] = fields[name]
        return message

    def delta_frame(self, ids: MessageIds, message_id: str) -> tuple[str, str]:
        """The JSON text of an answer delta before and after its content.

        A turn has hundreds of deltas that differ in one field; the rest is encoded once.
        """
        whole = gojson.dumps(self.message(ids, message_id, {"type": "answer", "content": "\n"}))
        before, _, after = whole.partition('"\\n"')
        return before, after

    @staticmethod
    def verbose(msg_type: str, data: str) -> str:
        """The content of a ``verbose`` message."""
        return gojson.dumps(
            {"msg_type": msg_type, "data": data, "from_module": None, "from_unit": None}
        )

    def answer_finish(self, reason: int = 0) -> str:
        """The content of the message that says all answers are complete.

        Args:
            reason: 0 in general; 1 when a question to the user has stopped the turn (wire 2.5).
        """
        data = gojson.dumps({"finish_reason": reason, "FinData": ""})
        return self.verbose("generate_answer_finish", data)

    def recall(
        self, chunks: Iterable[RecalledChunk], query: str, ids: MessageIds, user_id: str
    ) -> str:
        """The content of a ``knowledge_recall`` message; ``chunks`` is ``[]`` when nothing fits."""
        payload = {
            "chunks": [_chunk(chunk) for chunk in chunks],
            "ori_req": _original_request(query, ids, user_id),
            "status_code": 0,
        }
        return self.verbose("knowledge_recall", gojson.dumps(payload))

    @staticmethod
    def function_call(name: str, arguments: Mapping[str, Any], ids: tuple[str, str]) -> str:
        """The content of a ``function_call`` message; ``ids`` are plugin id and API id."""
        plugin, _, api = name.partition("-")
        return gojson.dumps(
            {
                "name": name,
                "arguments": arguments,
                "plugin_id": int(ids[0]),
                "plugin_name": plugin,
                "api_id": int(ids[1]),
                "api_name": api or plugin,
                "plugin_type": 1,
                "thought": "",
            }
        )

    @staticmethod
    def tool_response(output: Any) -> str:
        """The content of a ``tool_response`` message: text in Coze's wrapper, the rest as JSON."""
        if isinstance(output, str):
            output = {"content_type": 1, "response_for_model": output, "type_for_model": 1}
        return gojson.dumps(output)


def _usage(input_count: int, output_count: int) -> dict[str, Any]:
    return {
        "token_count": input_count + output_count,
        "output_count": output_count,
        "input_count": input_count,
    }


def _chunk(chunk: RecalledChunk) -> dict[str, Any]:
    score = int(chunk.score) if chunk.score.is_integer() else chunk.score
    return {
        "slice": chunk.slice,
        "score": score,
        "meta": {
            "dataset": {"id": chunk.dataset_id, "name": chunk.dataset_name},
            "document": {
                "id": chunk.document_id,
                "name": chunk.document_name,
                "format_type": 0,
                "source_type": 1 if chunk.url else 0,
            },
            "link": {"title": f"{chunk.dataset_name}_{chunk.document_name}", "url": chunk.url},
            "card": {"title": chunk.dataset_name, "con": chunk.slice, "index": str(chunk.index)},
        },
    }


def _original_request(query: str, ids: MessageIds, user_id: str) -> str:
    bot_id = int(ids.bot_id) if ids.bot_id.isdecimal() else ids.bot_id
    context = {
        "coze_api_key_id": _FAKE_KEY,
        "coze_api_key_owner_id": _FAKE_OWNER,
        "coze_token_space_id": _FAKE_SPACE,
        "space_id": _FAKE_SPACE,
        "bot_version": "1",
        "bot_name": "local",
    }
    return gojson.dumps(
        {
            "message": {"role": "user", "content": query},
            "bot_id": bot_id,
            "connector_id": 1024,
            "connector_uid": user_id,
            "user_id": _FAKE_OWNER,
            "max_token": 4096,
            "scene_context": {
                "_WORKFLOW_INPUT": gojson.dumps({"USER_INPUT": query}),
                "agent_id": bot_id,
                "bot_context": gojson.dumps(context),
            },
        }
    )
