"""One chat: from a question and a bot to the events of a turn."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from langchain_coze.local import gojson, pieces
from langchain_coze.local.bots import LocalBot
from langchain_coze.local.chat_request import ChatRequest, EnterMessage
from langchain_coze.local.ids import new_id, stable_id
from langchain_coze.local.knowledge import RecalledChunk
from langchain_coze.local.profiles import CloudProfile, Event, MessageIds
from langchain_coze.local.store import Conversation, SavedTurn
from langchain_coze.local.text import count_tokens
from langchain_coze.local.turns import Turn

__all__ = ["ChatRun", "Outbox"]

logger = logging.getLogger(__name__)

# In the list of a finished chat, working steps and verbose messages stand before the answer.
_LIST_ORDER = {"function_call": 0, "tool_response": 0, "verbose": 1, "answer": 2, "follow_up": 3}
_DELTA, _COMPLETED = "conversation.message.delta", "conversation.message.completed"


class Outbox:
    """Events on their way from a running chat to the one client that streams it."""

    def __init__(self, *, wanted: bool) -> None:
        """Make an outbox; when it is not ``wanted`` nothing is kept."""
        self._events: list[Event] = []
        self._wake = asyncio.Event()
        self._wanted = wanted
        self._closed = False

    def put(self, event: Event) -> None:
        """Add an event."""
        if self._wanted:
            self._events.append(event)
            self._wake.set()

    def close(self) -> None:
        """There will be no more events."""
        self._closed = True
        self._wake.set()

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Whatever events are ready, as soon as there are any."""
        while True:
            if self._events:
                batch, self._events = self._events, []
                yield batch
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()


class _Failed(Exception):  # noqa: N818 - the regular end of a turn that fails
    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code, self.msg = code, msg


@dataclass
class _Answer:
    """The answer message that is being written."""

    id: str
    frame: tuple[str, str]
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)


class ChatRun:
    """A chat that runs on the server, whether or not a client is listening.

    Args:
        bot: The bot that is asked.
        request: The checked request.
        conversation: The conversation it runs in; its ``running`` is this chat until it ends.
        profile: The wire shapes to write.
    """

    def __init__(
        self, bot: LocalBot, request: ChatRequest, conversation: Conversation, profile: CloudProfile
    ) -> None:
        """Create the chat; `execute` runs it."""
        self.bot = bot
        self.request = request
        self.conversation = conversation
        self.profile = profile
        self.ids = MessageIds(conversation.id, bot.bot_id, new_id(), conversation.section_id)
        self.outbox = Outbox(wanted=request.stream)
        self.status = "created"
        self.created_at = int(time.time())
        self.ended_at = 0
        self.last_error: dict[str, Any] = {"code": 0, "msg": ""}
        self.messages: list[dict[str, Any]] = []
        self._entries = (*conversation.history, *request.additional_messages)
        self._saved = SavedTurn(
            list(request.additional_messages),
            chat_id=self.ids.chat_id,
            bot_id=bot.bot_id,
            section_id=conversation.section_id,
        )
        self._input_tokens = self._output_tokens = 0
        # The first answer's id is older than those of the steps before it: ids are not in order.
        self._spare_answer_id = new_id()
        self._answer: _Answer | None = None
        self._follow_ups: list[str] = []
        self._since_flush = 0
        conversation.running = self
        if request.auto_save_history:
            conversation.turns.append(self._saved)

    @property
    def running(self) -> bool:
        """Whether the chat can still be cancelled."""
        return self.status in {"created", "in_progress"}

    def cancel(self) -> None:
        """Mark the chat as cancelled; its stream goes on, its turn is no context (wire 2.8)."""
        self.status = "canceled"
        self._saved.canceled = True
        self._leave_conversation()

    async def execute(self) -> None:
        """Run the chat to its end. Never raises, except when the server stops."""
        try:
            await self._run()
            self._end("completed")
        except _Failed as failure:
            self._end("failed", failure.code, failure.msg)
        except Exception as error:
            logger.exception("The reply of bot %s failed", self.bot.name)
            self._end("failed", 5000, f"{type(error).__name__}: {error}")
        finally:
            self._leave_conversation()
            self.outbox.close()

    def as_json(self, status: str | None = None) -> dict[str, Any]:
        """The chat object (wire 2.2), in the key order of coze.cn."""
        status = status or self.status
        chat: dict[str, Any] = {
            "id": self.ids.chat_id,
            "conversation_id": self.ids.conversation_id,
            "bot_id": self.ids.bot_id,
            "created_at": self.created_at,
        }
        if status in {"completed", "failed"}:
            chat["completed_at"] = self.ended_at
        if status == "failed":
            chat["failed_at"] = self.ended_at
        if self.request.meta_data:
            chat["meta_data"] = dict(self.request.meta_data)
        chat |= {"last_error": self.last_error, "status": status, "usage": self._usage(status)}
        chat["section_id"] = self.ids.section_id
        return chat

    def listed_messages(self) -> list[dict[str, Any]]:
        """Messages as ``GET /v3/chat/message/list`` gives them: without the question (wire 2.8)."""
        return sorted(self.messages, key=lambda message: _LIST_ORDER.get(message["type"], 2))

    async def _run(self) -> None:
        self._emit_chat("created")
        if self.status == "created":
            self.status = "in_progress"
        self._emit_chat("in_progress")
        turn = await self._begin()
        async with aclosing(self.bot.source(turn)) as reply:
            async for piece in reply:
                await self._take(piece)
        self._close_answer()
        self._message("verbose", self.profile.answer_finish())
        for text in (*self._follow_ups, *self.bot.suggestions(turn.question)):
            self._message("follow_up", text)

    async def _begin(self) -> Turn:
        """Search the knowledge base, tell the client what was recalled, and set up the turn."""
        question = _question(self._entries)
        knowledge, chunks = self.bot.knowledge, list[RecalledChunk]()
        if knowledge is not None:
            # The first search builds the index and may take a while.
            search = knowledge.search
            ready = knowledge.indexed
            chunks = search(question) if ready else await asyncio.to_thread(search, question)
            content = self.profile.recall(chunks, question, self.ids, self.request.user_id)
            self._message("verbose", content)
        texts = [entry.text for entry in self._entries] + [chunk.slice for chunk in chunks]
        self._input_tokens = sum(map(count_tokens, [self.bot.prompt, *texts]))
        return Turn(
            question=question,
            bot=self.bot,
            chunks=tuple(chunks),
            has_knowledge=knowledge is not None,
            user_id=self.request.user_id,
            custom_variables=self.request.custom_variables,
            parameters=self.request.parameters,
            meta_data=self.request.meta_data,
            conversation_id=self.ids.conversation_id,
            chat_id=self.ids.chat_id,
            entries=self._entries,
        )

    async def _take(self, piece: pieces.Piece) -> None:
        if isinstance(piece, str):
            await self._delta(piece)
        elif isinstance(piece, pieces.Reasoning):
            await self._reasoning(piece.text)
        elif isinstance(piece, pieces.Pause):
            await asyncio.sleep(piece.seconds)
        elif isinstance(piece, pieces.Fail):
            raise _Failed(piece.code, piece.msg)
        elif isinstance(piece, pieces.FollowUp):
            self._follow_ups.append(piece.text)
        else:
            self._take_message(piece)

    def _take_message(
        self, piece: pieces.NewAnswer | pieces.Card | pieces.Verbose | pieces.ServerTool
    ) -> None:
        if isinstance(piece, pieces.Verbose):
            data = piece.data if isinstance(piece.data, str) else gojson.dumps(piece.data)
            self._message("verbose", self.profile.verbose(piece.msg_type, data))
            return
        self._close_answer()
        if isinstance(piece, pieces.Card):
            content = (
                piece.content if isinstance(piece.content, str) else gojson.dumps(piece.content)
            )
            self._message("answer", content, content_type="card")
        elif isinstance(piece, pieces.ServerTool):
            tool_ids = (
                stable_id("plugin", piece.name.partition("-")[0]),
                stable_id("api", piece.name),
            )
            call = self.profile.function_call(piece.name, piece.arguments, tool_ids)
            self._message("function_call", call)
            self._message("tool_response", self.profile.tool_response(piece.output))

    def _open_answer(self) -> _Answer:
        if self._answer is None:
            message_id, self._spare_answer_id = self._spare_answer_id or new_id(), ""
            self._answer = _Answer(message_id, self.profile.delta_frame(self.ids, message_id))
        return self._answer

    async def _delta(self, text: str) -> None:
        if not text:
            return
        answer = self._answer or self._open_answer()
        answer.text.append(text)
        before, after = answer.frame
        self.outbox.put(Event(_DELTA, before + gojson.dumps(text) + after))
        await self._breathe()

    async def _reasoning(self, text: str) -> None:
        answer = self._open_answer()
        answer.reasoning.append(text)
        fields = {"type": "answer", "content": "", "reasoning_content": text}
        message = self.profile.message(self.ids, answer.id, fields)
        self.outbox.put(Event(_DELTA, gojson.dumps(message)))
        await self._breathe()

    async def _breathe(self) -> None:
        """Let the client's stream, and other chats, go on after every burst of deltas."""
        self._since_flush += 1
        if self.bot.delay or self._since_flush >= self.bot.burst:
            self._since_flush = 0
            await asyncio.sleep(self.bot.delay)

    def _close_answer(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        text, reasoning = "".join(answer.text), "".join(answer.reasoning)
        self._output_tokens += count_tokens(text) + count_tokens(reasoning)
        fields: dict[str, Any] = {"type": "answer", "content": text, "created_at": int(time.time())}
        message = self.profile.message(self.ids, answer.id, fields)
        self.outbox.put(Event(_COMPLETED, gojson.dumps(message)))
        if reasoning:
            # Streams leave it out of the completed message, stored messages carry it.
            fields["reasoning_content"] = reasoning
        self.messages.append(self.profile.message(self.ids, answer.id, fields))
        self._saved.add(EnterMessage("assistant", "answer", text, "text"), answer.id)

    def _message(self, kind: str, content: str, content_type: str = "text") -> None:
        now = int(time.time())
        fields = {
            "type": kind,
            "content": content,
            "content_type": content_type,
            "created_at": now,
            "updated_at": now,
        }
        message = self.profile.message(self.ids, new_id(), fields)
        self.messages.append(message)
        self.outbox.put(Event(_COMPLETED, gojson.dumps(message)))

    def _emit_chat(self, status: str) -> None:
        chat = self.as_json(status)
        self.outbox.put(Event(f"conversation.chat.{status}", gojson.dumps(chat)))

    def _end(self, status: str, code: int = 0, msg: str = "") -> None:
        self.ended_at = int(time.time())
        if code:
            self.last_error = {"code": code, "msg": msg}
        if self.status != "canceled":
            self.status = status
        self._leave_conversation()
        self._emit_chat(status)
        if status == "completed":
            self.outbox.put(self.profile.done)

    def _leave_conversation(self) -> None:
        if self.conversation.running is self:
            self.conversation.running = None

    def _usage(self, status: str) -> dict[str, Any]:
        if status != "completed":
            return {"token_count": 0, "output_count": 0, "input_count": 0}
        return {
            "token_count": self._input_tokens + self._output_tokens,
            "output_count": self._output_tokens,
            "input_count": self._input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
        }


def _question(entries: tuple[EnterMessage, ...]) -> str:
    """Text of the last user message; a message of files only is asked by the one beside it."""
    users = [entry.text for entry in entries if entry.role == "user"]
    return next((text for text in reversed(users) if text), "")
