"""One chat: from a question and a bot to the events of a turn."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from langchain_coze.local import reply_parts
from langchain_coze.local.runtime.event_queue import Outbox
from langchain_coze.local.runtime.message_writer import TurnWriter
from langchain_coze.local.runtime.recall import ON_DEMAND_TOOL, best_first
from langchain_coze.local.runtime.stepping import END, advance, close
from langchain_coze.local.runtime.store import Conversation, SavedTurn
from langchain_coze.local.runtime.tokenize import count_tokens
from langchain_coze.local.turn_context import Turn
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.chat_request import ChatRequest, EnterMessage
from langchain_coze.local.wire.cloud import ChatFacts, CloudProfile, MessageIds
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from langchain_coze.local.bots import LocalBot
    from langchain_coze.local.chatflows import LocalChatflow
    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.wire.recall import RecalledChunk, RecallMessage

logger = logging.getLogger(__name__)

_TOOL_CALL_ID_BYTES = 44  # base64 of so many is as long as the recorded ids (wire 2.6)


class _Failed(Exception):  # noqa: N818 - the regular end of a turn that fails
    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code, self.msg = code, msg


class ChatRun:
    """A chat that runs on the server, whether or not a client is listening.

    Args:
        bot: The bot or chatflow that is asked.
        request: The checked request.
        conversation: The conversation it runs in; its `running` is this chat until it ends.
        profile: The wire shapes to write.
        uploads: The files that the user has uploaded, by id.
    """

    def __init__(
        self,
        bot: LocalBot | LocalChatflow,
        request: ChatRequest,
        conversation: Conversation,
        profile: CloudProfile,
        uploads: Mapping[str, StoredFile],
    ) -> None:
        """Create the chat; `execute` runs it."""
        self.bot, self.request, self.profile = bot, request, profile
        self.conversation = conversation
        self.ids = MessageIds(
            conversation.id, bot.wire_id, new_id(), conversation.section_id, request.home_id
        )
        self.status = "created"
        self._facts = ChatFacts(self.ids, int(time.time()), meta_data=request.meta_data)
        self._entries = (*conversation.history, *request.additional_messages)
        self._uploads = _named(self._entries, uploads)
        self._saved = SavedTurn(
            list(request.additional_messages),
            chat_id=self.ids.chat_id,
            bot_id=bot.wire_id,
            section_id=conversation.section_id,
        )
        self._writer = TurnWriter(profile, self.ids, self._saved, (bot.delay, bot.burst))
        self._writer.outbox = Outbox(wanted=request.stream)
        self._reply: AsyncGenerator[reply_parts.Piece, Any] | None = None
        self._answer: Any = None  # what the reply is sent when it goes on
        self._asked_for_several = False
        self._input_tokens = 0
        self._follow_ups: list[str] = []
        self._speech: list[bytes] = []
        conversation.running = self
        if request.auto_save_history:
            conversation.turns.append(self._saved)

    @property
    def outbox(self) -> Outbox:
        """The events of the stream that is being answered."""
        return self._writer.outbox

    @property
    def running(self) -> bool:
        """Whether the chat can still be cancelled."""
        return self.status in {"created", "in_progress"}

    def cancel(self) -> None:
        """Mark the chat as cancelled; its stream goes on, its turn is no context (wire 2.8)."""
        self.status = "canceled"
        self._saved.canceled = True
        self._leave_conversation()

    def submit(self, outputs: Mapping[str, str], *, stream: bool) -> None:
        """Take the results of the calls that the chat waits for; `execute` goes on with them.

        Args:
            outputs: The results by the ids of their calls.
            stream: Whether the client wants the events of what follows.

        Raises:
            Problem: 4000, the chat waits for no calls or for others; 4016, another chat of the
                conversation is running.
        """
        if self.status != "requires_action":
            raise Problem(4000, f"the chat waits for no tool outputs: its status is {self.status}")
        ids = [call["id"] for call in self._facts.tool_calls]
        if unknown := sorted(outputs.keys() - set(ids)):
            raise Problem(4000, f"tool_outputs: the chat has no call with the id {unknown[0]!r}")
        if missing := [call_id for call_id in ids if call_id not in outputs]:
            # Wire 2.6 does not say whether calls may be answered one by one; all at once works.
            raise Problem(4000, f"tool_outputs: the output of the call {missing[0]!r} is missing")
        if self.conversation.running is not None:
            raise Problem(4016)
        self.conversation.running, self.status = self, "in_progress"
        self._writer.outbox = Outbox(wanted=stream)
        texts = [outputs[call_id] for call_id in ids]
        self._answer = texts if self._asked_for_several else texts[0]
        self._input_tokens += sum(map(count_tokens, texts))
        for call_id, text in zip(ids, texts, strict=True):
            entry = EnterMessage("assistant", "tool_response", text, "text", (), call_id)
            self._saved.add(entry)

    async def execute(self) -> None:
        """Run the chat to its end or until it waits. Never raises, except when the server stops."""
        waiting_for: reply_parts.Piece | None = None
        try:
            waiting_for = await self._run()
            await self._end(waiting_for)
        except _Failed as failure:
            self._fail(failure.code, failure.msg, expected=True)
        except Exception as error:
            waiting_for = None
            logger.exception("The reply of bot %s failed", self.bot.name)
            self._fail(5000, f"{type(error).__name__}: {error}", expected=False)
        finally:
            self._leave_conversation()
            # Nobody can continue a chat that is not saved.
            if self._reply and not (waiting_for and self.request.auto_save_history):
                await close(self._reply)
            self.outbox.close()

    def as_json(self) -> dict[str, Any]:
        """The chat object (wire 2.2)."""
        return self.profile.chat(self._counted(), self.status)

    def as_short_json(self) -> dict[str, Any]:
        """The chat object for a request that has just started it (wire 2.8)."""
        return self.profile.short_chat(self._counted())

    def listed_messages(self) -> list[dict[str, Any]]:
        """Messages as `GET /v3/chat/message/list` gives them."""
        return self._writer.listed()

    def forget(self, message_id: str, kinds: frozenset[str] = frozenset()) -> None:
        """Delete a message, and all of these types, from the list of the chat's messages."""
        self._writer.forget(message_id, kinds)

    async def _run(self) -> reply_parts.Piece | None:
        """Work off the reply; gives the piece that it waits for, or None at its end."""
        if self._reply is None:
            self._emit_chat("created")
            if self.status == "created":
                self.status = "in_progress"
            self._emit_chat("in_progress")
            self._reply = await self._begin()
        else:
            self._emit_chat("in_progress")
        answer, self._answer = self._answer, None
        while (piece := await advance(self._reply, answer)) is not END:
            if reply_parts.waits(piece):
                # A cancelled chat only says its last words.
                return piece if self.status != "canceled" else None
            answer = None
            await self._take(piece)
        return None

    async def _begin(self) -> AsyncGenerator[reply_parts.Piece, Any]:
        """The reply: a new one, or the one whose question this turn answers."""
        question = _question(self._entries)
        if self.request.additional_messages:
            paused = self.conversation.paused.pop(self.ids.bot_id, None)
            if paused is not None:
                self._answer = question
                self._input_tokens = count_tokens(question)
                return paused
        return self.bot.source(await self._turn(question))

    async def _turn(self, question: str) -> Turn:
        """Search the knowledge bases, tell the client what was recalled, and set up the turn."""
        plan = self.bot.recall_plan
        searching = self._recall_on_demand if plan.on_demand else self._recall
        chunks = await searching(question) if plan.bases else ()
        texts = [entry.text for entry in self._entries] + [chunk.slice for chunk in chunks]
        self._input_tokens = sum(map(count_tokens, [self.bot.prompt, *texts]))
        return Turn(
            question=question,
            bot=self.bot,
            chunks=chunks,
            has_knowledge=bool(plan.bases),
            user_id=self.request.user_id,
            custom_variables=self.request.custom_variables,
            parameters=self.request.parameters,
            meta_data=self.request.meta_data,
            conversation_id=self.ids.conversation_id,
            chat_id=self.ids.chat_id,
            entries=self._entries,
            uploads=self._uploads,
        )

    async def _recall(self, question: str) -> tuple[RecalledChunk, ...]:
        chunks: list[RecalledChunk] = []
        async for recall in self.bot.recall_plan.search(question):
            self._tell_recall(recall, question)
            chunks += recall.chunks
        return best_first(chunks)

    async def _recall_on_demand(self, question: str) -> tuple[RecalledChunk, ...]:
        self._writer.tool_call(reply_parts.ServerTool(ON_DEMAND_TOOL, {"query": question}))
        found = [recall async for recall in self.bot.recall_plan.search(question) if recall.chunks]
        chunks = best_first(chunk for recall in found for chunk in recall.chunks)
        self._writer.tool_result("\n\n".join(chunk.slice for chunk in chunks))
        for recall in found:
            self._tell_recall(recall, question)
        return chunks

    def _tell_recall(self, recall: RecallMessage, question: str) -> None:
        content = self.profile.recall(recall, question, self.ids, self.request.user_id)
        self._writer.message(self.profile.recall_type, content)

    async def _take(self, piece: reply_parts.Piece) -> None:
        if isinstance(piece, str):
            await self._writer.text(piece)
        elif isinstance(piece, reply_parts.Reasoning):
            await self._writer.reasoning(piece.text)
        elif isinstance(piece, reply_parts.Pause):
            await asyncio.sleep(piece.seconds)
        elif isinstance(piece, reply_parts.Fail):
            raise _Failed(piece.code, piece.msg)
        elif isinstance(piece, reply_parts.FollowUp):
            self._follow_ups.append(piece.text)
        elif isinstance(piece, reply_parts.Speech):
            self._speech.append(piece.data)
        else:
            self._take_message(piece)

    def _take_message(self, piece: reply_parts.Piece) -> None:
        if isinstance(piece, reply_parts.Verbose):
            self._writer.verbose(piece)
        elif isinstance(piece, reply_parts.ServerTool):
            self._writer.tool(piece)
        elif isinstance(piece, reply_parts.Card | reply_parts.Media):
            self._writer.whole_answer(piece)
        else:
            self._writer.close_answer()

    # Ends -------------------------------------------------------------------------------------

    async def _end(self, waiting_for: reply_parts.Piece | None) -> None:
        self._writer.close_answer()
        if waiting_for is None:
            self._complete()
        elif isinstance(waiting_for, reply_parts.Ask):
            await self._ask(waiting_for)
        elif not self.profile.has_client_tools:
            raise TypeError("tools of the client cannot be called here: no route takes the results")
        else:
            self._asked_for_several = isinstance(waiting_for, tuple)
            calls = waiting_for if isinstance(waiting_for, tuple) else (waiting_for,)
            self._require_action(
                [call for call in calls if isinstance(call, reply_parts.ClientTool)]
            )

    def _complete(self) -> None:
        if finish := self.profile.answer_finish():
            self._writer.message("verbose", finish)
        question = _question(self._entries)
        for text in (*self._follow_ups, *self.bot.suggestions(question)):
            self._writer.message("follow_up", text)
        self._emit_end()
        for data in self._speech:
            self._writer.speech(base64.b64encode(data).decode())
        self.outbox.put(self.profile.done(self.ids))

    async def _ask(self, question: reply_parts.Ask) -> None:
        """End with a question; the reply stays where it is until the user answers (wire 4.6)."""
        await self._writer.text(question.text)
        self._writer.close_answer()
        for mark in self.profile.question_marks():
            self._writer.message("verbose", mark)
        if self._reply is not None and self.request.auto_save_history:
            self.conversation.paused[self.ids.bot_id] = self._reply
        self._emit_end(self.profile.after_question)
        self.outbox.put(self.profile.done(self.ids))

    def _require_action(self, calls: Sequence[reply_parts.ClientTool]) -> None:
        """Stop until the client has run its tools.

        The conversation is free meanwhile: 4016 is about chats that run (our choice, the hosted
        service's is not documented). So a client that never submits can ask something else.
        """
        self._facts.tool_calls = [_tool_call(call) for call in calls]
        for call, sent in zip(calls, self._facts.tool_calls, strict=True):
            content = go_json.dumps({"name": call.name, "arguments": call.arguments})
            entry = EnterMessage("assistant", "function_call", content, "text", (), sent["id"])
            self._saved.add(entry)
        self.status = "requires_action"
        self._leave_conversation()
        self._emit_chat("requires_action")
        # Whether hosted Coze ends with done here is not recorded (wire 2.6); the fault no_done
        # plays the other case.
        self.outbox.put(self.profile.done(self.ids))

    def _emit_end(self, status: str | None = "completed") -> None:
        self._facts.ended_at = int(time.time())
        if self.status != "canceled":
            self.status = status or "completed"
        self._leave_conversation()
        if status:
            self._emit_chat(status)

    def _fail(self, code: int, msg: str, *, expected: bool) -> None:
        self._facts.ended_at = int(time.time())
        self._facts.last_error = {"code": code, "msg": msg}
        if self.status != "canceled":
            self.status = "failed"
        self._leave_conversation()
        for event in self.profile.failure(self._counted(), expected=expected):
            self.outbox.put(event)

    def _emit_chat(self, status: str) -> None:
        self.outbox.put(self.profile.chat_event(self._counted(), status))

    def _counted(self) -> ChatFacts:
        self._facts.usage = (self._input_tokens, self._writer.output_tokens)
        return self._facts

    def _leave_conversation(self) -> None:
        if self.conversation.running is self:
            self.conversation.running = None


def _tool_call(call: reply_parts.ClientTool) -> dict[str, Any]:
    """A call as `required_action` lists it: its arguments are a JSON string (wire 2.6)."""
    given = call.arguments
    arguments = given if isinstance(given, str) else go_json.dumps(given)
    return {
        "id": base64.b64encode(secrets.token_bytes(_TOOL_CALL_ID_BYTES)).decode(),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _named(
    entries: tuple[EnterMessage, ...], uploads: Mapping[str, StoredFile]
) -> dict[str, StoredFile]:
    """The files that messages name: a chat is kept, and must not keep all others with it."""
    ids = {str(item.get("file_id") or "") for entry in entries for item in entry.items}
    return {file_id: uploads[file_id] for file_id in ids if file_id in uploads}


def _question(entries: tuple[EnterMessage, ...]) -> str:
    """Text of the last user message; a message of files only is asked by the one beside it."""
    users = [entry.text for entry in entries if entry.role == "user"]
    return next((text for text in reversed(users) if text), "")
