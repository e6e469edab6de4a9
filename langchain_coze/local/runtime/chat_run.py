"""One chat: runs the bot's reply and sends the events of the turn."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_coze.local import reply_parts
from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.runtime.conversation import Conversation, SavedTurn, StoredMessage
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.message_writer import MessageWriter
from langchain_coze.local.runtime.stepping import END, advance, close_iterator
from langchain_coze.local.runtime.text import count_tokens
from langchain_coze.local.turn_context import Turn
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import ChatInfo, CloudProfile, MessageIds
from langchain_coze.local.wire.errors import ApiError, get_failure_message
from langchain_coze.local.wire.ids import generate_id, get_time
from langchain_coze.local.wire.recall import sort_by_score
from langchain_coze.local.wire.requests import ChatRequest, EnterMessage
from langchain_coze.local.wire.studio_chatflows import build_interrupt_meta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from langchain_coze.local.faults.specs import FaultSet
    from langchain_coze.local.runtime.replying_bot import ReplyingBot
    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.wire.recall import RecalledChunk, RecallMessage

logger = logging.getLogger(__name__)

# No recording shows the plugin of an on-demand recall: this name is our choice.
_ON_DEMAND_TOOL = "knowledge-recall"
_TOOL_CALL_ID_BYTES = 44  # encoded in base64, they are as long as the recorded ids (wire 2.6)


class _ReplyFailedError(Exception):
    """Raised when a reply yields `Fail`."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code, self.msg = code, msg


class ChatRun:
    """A chat that runs on the server, whether or not a client streams it.

    Until the chat ends, the conversation's `running_chat_id` is its id.
    """

    def __init__(
        self,
        bot: ReplyingBot,
        request: ChatRequest,
        conversation: Conversation,
        profile: CloudProfile,
        uploads: Mapping[str, StoredFile],
        faults: FaultSet,
    ) -> None:
        """Create the chat; `execute` runs it."""
        self.bot, self.request, self.profile = bot, request, profile
        self._faults = faults
        self.conversation = conversation
        self.ids = _create_ids(bot, request, conversation)
        self.status = "created"
        self._entries = (*conversation.history, *request.additional_messages)
        self._question = _find_question(self._entries)
        self._uploads = uploads
        self._saved_turn = SavedTurn(
            list(map(StoredMessage, request.additional_messages)),
            chat_id=self.ids.chat_id,
            bot_id=self.ids.bot_id,
            section_id=self.ids.section_id,
            of_chatflow=bot.is_chatflow,
        )
        inserted_ids = [message.id for message in self._saved_turn.messages]
        self._info = ChatInfo(
            self.ids, get_time(), meta_data=request.meta_data, inserted_ids=inserted_ids
        )
        self.writer = MessageWriter(profile, self.ids, self._saved_turn, (bot.delay, bot.burst))
        self.writer.events = EventQueue(enabled=request.stream)
        self.writer.extra_params = request.extra_params
        self._reply: AsyncGenerator[reply_parts.ReplyPart, Any] | None = None
        self._answer: Any = None  # sent to the reply when it is resumed
        self._returns_list = False
        self._submitted_outputs: list[str] = []
        self._follow_ups: list[str] = []
        self._speech: list[bytes] = []
        conversation.running_chat_id = self.ids.chat_id
        if request.auto_save_history:
            conversation.turns.append(self._saved_turn)

    @property
    def events(self) -> EventQueue:
        """The events of the current stream."""
        return self.writer.events

    def cancel(self) -> None:
        """Cancel the chat; its stream continues, its turn is no part of the history (wire 2.8).

        On Studio this affects neither.
        """
        self.status = "canceled"
        self._saved_turn.canceled = not self.profile.is_studio
        self._release_conversation()

    def submit_tool_outputs(self, outputs: Mapping[str, str], *, stream: bool) -> None:
        """Store the results of the pending calls, by call id; `execute` then continues the chat.

        Raises 4000 if the chat waits for other calls, and 4016 if another chat is running.
        """
        ids = [call["id"] for call in self._info.tool_calls if call["type"] == "function"]
        if self.status != "requires_action" or not ids:
            raise ApiError(4000, f"the chat waits for no tool outputs: its status is {self.status}")
        if unknown := sorted(outputs.keys() - set(ids)):
            raise ApiError(4000, f"tool_outputs: the chat has no call with the id {unknown[0]!r}")
        if missing := [call_id for call_id in ids if call_id not in outputs]:
            # Wire 2.6 does not document results for only some of the calls.
            raise ApiError(4000, f"tool_outputs: the output of the call {missing[0]!r} is missing")
        if self.conversation.running_chat_id is not None:
            raise ApiError(4016)
        self.conversation.running_chat_id, self.status = self.ids.chat_id, "in_progress"
        self.writer.events = EventQueue(enabled=stream)
        texts = self._submitted_outputs = [outputs[call_id] for call_id in ids]
        self._answer = texts if self._returns_list else texts[0]
        self.writer.input_tokens += sum(map(count_tokens, texts))
        for call_id, text in zip(ids, texts, strict=True):
            entry = EnterMessage("assistant", "tool_response", text, "text", (), call_id)
            self._saved_turn.add(entry)

    async def execute(self) -> None:
        """Run the chat until it ends or waits. Raises nothing unless the server stops."""
        pending_part: reply_parts.ReplyPart | None = None
        try:
            pending_part = await self._run_reply()
            await self._finish(pending_part)
        except _ReplyFailedError as failure:
            self._fail(failure.code, failure.msg)
        except Exception as error:
            pending_part = None
            logger.exception("The reply of bot %s failed", self.bot.name)
            self._fail(5000, f"{type(error).__name__}: {error}")
        finally:
            self._release_conversation()
            # A chat that is not saved cannot be continued.
            if self._reply and not (pending_part and self.request.auto_save_history):
                await close_iterator(self._reply)
            self.events.close()

    @property
    def info(self) -> ChatInfo:
        """The fields of the chat object, with the tokens so far."""
        writer = self.writer
        has_usage = writer.called_model or not self.profile.is_studio
        self._info.usage = (writer.input_tokens if has_usage else 0, writer.output_tokens)
        self._info.reasoning_tokens = writer.reasoning_tokens
        return self._info

    @property
    def _is_empty(self) -> bool:
        """Whether the question is empty: Studio does not answer empty questions."""
        questions = self.request.additional_messages[-1:]
        has_question = any(question.text or question.items for question in questions)
        return self.profile.is_studio and not has_question

    async def _run_reply(self) -> reply_parts.ReplyPart | None:
        """Run the reply to its end, or to a part that needs an answer; return that part or None."""
        if self._reply is None:
            self._send_chat_event("created")
            if self.status == "created":
                self.status = "in_progress"
            self._send_chat_event("in_progress")
            if (code := self._faults.failure_code) is not None:
                raise _ReplyFailedError(code, get_failure_message(code))
            if self._is_empty:
                return None
            self._reply = await self._open_reply()
            await asyncio.sleep(self._faults.get_seconds(Fault.IDLE))
        else:
            self._send_chat_event("in_progress")
            for output in self._submitted_outputs:  # Coze sends them again (wire 2.6)
                self.writer.write_message("tool_response", output)
        answer, self._answer = self._answer, None
        while (part := await advance(self._reply, answer)) is not END:
            if reply_parts.needs_answer(part):
                # A cancelled chat finishes instead of waiting.
                return part if self.status != "canceled" else None
            answer = None
            await self._process_part(part)
        return None

    async def _open_reply(self) -> AsyncGenerator[reply_parts.ReplyPart, Any]:
        """Return a new reply, or the paused reply whose question this turn answers."""
        if self.request.additional_messages:
            paused = self.conversation.paused.pop(self.bot.wire_id, None)
            if paused is not None:
                self._answer = self._question
                self.writer.input_tokens = count_tokens(self._question)
                return paused
        return self.bot.reply_source(await self._build_turn())

    async def _build_turn(self) -> Turn:
        """Search the knowledge bases, send the recalls, and return the turn."""
        await asyncio.sleep(self._faults.get_seconds(Fault.RECALL_LATE))
        chunks = await self._search() if self.bot.bases else ()
        texts = [entry.text for entry in self._entries] + [chunk.slice for chunk in chunks]
        self.writer.input_tokens = sum(map(count_tokens, [self.bot.prompt, *texts]))
        return Turn(
            question=self._question,
            bot=self.bot,
            chunks=chunks,
            has_knowledge=bool(self.bot.bases),
            user_id=self.request.user_id,
            custom_variables=self.request.custom_variables,
            parameters=self.request.parameters,
            meta_data=self.request.meta_data,
            conversation_id=self.ids.conversation_id,
            chat_id=self.ids.chat_id,
            entries=self._entries,
            uploads=self._uploads,
        )

    async def _search(self) -> tuple[RecalledChunk, ...]:
        on_demand, recalls = self.bot.on_demand, []
        if on_demand:
            call = reply_parts.ServerTool(_ON_DEMAND_TOOL, {"query": self._question})
            self.writer.write_tool_call(call)
        async for recall in self.bot.search(self._question):
            if not on_demand:
                self._send_recall(recall)
            recalls.append(recall)
        chunks = sort_by_score(chunk for recall in recalls for chunk in recall.chunks)
        if on_demand:
            self.writer.write_tool_result("\n\n".join(chunk.slice for chunk in chunks))
            for recall in recalls:
                if recall.chunks:
                    self._send_recall(recall)
        return chunks

    def _send_recall(self, recall: RecallMessage) -> None:
        faults = self._faults.values
        if Fault.RECALL_EMPTY in faults or Fault.RECALL_FAILED in faults:
            status_code = int(faults.get(Fault.RECALL_FAILED, 0))
            recall = replace(recall, chunks=(), status_code=status_code)
        content = self.profile.build_recall_content(
            recall, self._question, self.ids, self.request.user_id
        )
        if content and Fault.RECALL_MISSING not in faults:
            self.writer.write_message(self.profile.recall_message_type, content)

    async def _process_part(self, part: reply_parts.ReplyPart) -> None:
        if isinstance(part, str):
            await self.writer.write_text(part)
        elif isinstance(part, reply_parts.Reasoning):
            await self.writer.write_reasoning(part.text)
        elif isinstance(part, reply_parts.Pause):
            await asyncio.sleep(part.seconds)
        elif isinstance(part, reply_parts.Fail):
            raise _ReplyFailedError(part.code, part.msg)
        elif isinstance(part, reply_parts.FollowUp):
            self._follow_ups.append(part.text)
        elif isinstance(part, reply_parts.Speech):
            self._speech.append(part.data)
        else:
            self.writer.write_part(part)

    # Ends -------------------------------------------------------------------------------------

    async def _finish(self, pending_part: reply_parts.ReplyPart | None) -> None:
        self.writer.close_answer()
        if pending_part is None:
            self._complete()
        elif isinstance(pending_part, reply_parts.Ask):
            self._finish_with_question(pending_part)
        elif not self.profile.has_client_tools:
            raise TypeError("client tools cannot be called here: no route accepts their results")
        else:
            self._returns_list = isinstance(pending_part, tuple)
            calls = pending_part if isinstance(pending_part, tuple) else (pending_part,)
            self._require_action(
                [call for call in calls if isinstance(call, reply_parts.ClientTool)]
            )

    def _complete(self) -> None:
        if not self._is_empty:
            finish = self.profile.build_finish_content()
            suggested = self.bot.follow_ups
            texts = suggested(self._question) if callable(suggested) else suggested
            messages = [("verbose", finish)] * bool(finish)
            messages += [("follow_up", text) for text in (*self._follow_ups, *texts)]
            if self.profile.follow_ups_first:
                messages.sort(key=lambda message: message[0])
            for kind, text in messages:
                self.writer.write_message(kind, text)
        self._finish_chat()
        for data in self._speech:
            self.writer.write_speech(base64.b64encode(data).decode())
        self.events.put(self.profile.build_done_event(self.ids))

    def _finish_with_question(self, question: reply_parts.Ask) -> None:
        """End the turn with a question; pause the reply until the user answers (wire 4.6)."""
        self.writer.write_question(question.question, question.options)
        meta = build_interrupt_meta(question.question, question.options)
        for content in self.profile.build_interrupt_contents():
            self.writer.write_message("verbose", content, meta_data=meta)
            meta = {}
        if self._reply is not None and self.request.auto_save_history:
            self.conversation.paused[self.bot.wire_id] = self._reply
        self._info.tool_calls = self.profile.question_calls
        sends_event = Fault.NO_ACTION not in self._faults.values
        self._finish_chat(self.profile.status_after_question, sends_event=sends_event)
        self.events.put(self.profile.build_done_event(self.ids))

    def _require_action(self, calls: Sequence[reply_parts.ClientTool]) -> None:
        """End the stream until the client has run its tools.

        Meanwhile other chats can run in the conversation, so a client may abandon the calls: 4016
        applies only to running chats. This is our choice; the hosted service's behaviour is not
        documented.
        """
        self._info.tool_calls = [_build_tool_call(call) for call in calls]
        for call, wire_call in zip(calls, self._info.tool_calls, strict=True):
            self.writer.write_message(
                "function_call", self.profile.build_client_call(call.name, call.arguments)
            )
            content = go_json.dumps({"name": call.name, "arguments": call.arguments})
            entry = EnterMessage("assistant", "function_call", content, "text", (), wire_call["id"])
            self._saved_turn.add(entry)
        for content in self.profile.build_interrupt_contents():
            self.writer.write_message("verbose", content)
        self._finish_chat("requires_action")
        # No recording shows whether hosted Coze sends done here (wire 2.6).
        self.events.put(self.profile.build_done_event(self.ids))

    def _finish_chat(self, status: str = "completed", *, sends_event: bool = True) -> None:
        self._set_end_status(status)
        if sends_event:
            self._send_chat_event(status)

    def _set_end_status(self, status: str) -> None:
        self._info.ended_at = get_time()
        if self.status != "canceled" or self.profile.is_studio:
            self.status = status
        self._release_conversation()

    def _fail(self, code: int, msg: str) -> None:
        self._info.last_error = {"code": code, "msg": msg}
        self._set_end_status(self.profile.get_failed_status(code))
        for event in self.profile.build_failure_events(self.info):
            self.events.put(event)

    def _send_chat_event(self, status: str) -> None:
        self.events.put(self.profile.build_chat_event(self.info, status))

    def _release_conversation(self) -> None:
        if self.conversation.running_chat_id == self.ids.chat_id:
            self.conversation.running_chat_id = None


def _create_ids(bot: ReplyingBot, request: ChatRequest, conversation: Conversation) -> MessageIds:
    ids = conversation.id, bot.wire_id, generate_id(), conversation.section_id
    if not bot.is_chatflow:
        return MessageIds(*ids)
    return MessageIds(ids[0], request.parent_id or "0", *ids[2:], bot.wire_id)


def _build_tool_call(call: reply_parts.ClientTool) -> dict[str, Any]:
    """Return a call as `required_action` has it, with arguments as a JSON string (wire 2.6)."""
    arguments = call.arguments if isinstance(call.arguments, str) else go_json.dumps(call.arguments)
    return {
        "id": base64.b64encode(secrets.token_bytes(_TOOL_CALL_ID_BYTES)).decode(),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
        "require_info": None,
    }


def _find_question(entries: tuple[EnterMessage, ...]) -> str:
    """Return the text of the last user message with any text."""
    users = [entry.text for entry in entries if entry.role == "user"]
    return next((text for text in reversed(users) if text), "")
