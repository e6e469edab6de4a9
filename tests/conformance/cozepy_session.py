"""Scenes played with the official Python SDK, in the SDK's own environment.

Called as ``python cozepy_session.py SCENE BASE_URL TOKEN BOT_ID``; prints one JSON text.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from cozepy import (  # type: ignore[import-not-found, unused-ignore]
    ChatEventType,
    ChatStatus,
    Coze,
    CozeAPIError,
    JWTAuth,
    JWTOAuthApp,
    Message,
    MessageContentType,
    MessageObjectString,
    MessageRole,
    TokenAuth,
    ToolOutput,
)

QUESTION = "How do I publish a bot to the API?"


def stream(coze: Any, bot_id: str) -> Any:
    """Every event of a streamed chat, and its recall as the SDK hands it over."""
    told = coze.chat.stream(
        bot_id=bot_id,
        user_id="conformance",
        additional_messages=[Message.build_user_question_text(QUESTION)],
    )
    seen: dict[str, Any] = {"events": [], "deltas": "", "answers": [], "logid": ""}
    for event in told:
        seen["events"].append(str(event.event.value))
        message = event.message
        if event.event == ChatEventType.CONVERSATION_MESSAGE_DELTA:
            seen["deltas"] += message.content
        elif message is not None and message.type.value == "answer":
            seen["answers"].append(message.content)
        elif message is not None and "knowledge_recall" in message.content:
            seen["recall"] = json.loads(json.loads(message.content)["data"])
        elif event.event == ChatEventType.CONVERSATION_CHAT_COMPLETED:
            seen["usage"] = event.chat.usage.model_dump()
    seen["logid"] = told.response.logid
    return seen


def create_and_poll(coze: Any, bot_id: str) -> Any:
    """A chat that is not streamed: create, retrieve until it ends, list its messages."""
    poll = coze.chat.create_and_poll(
        bot_id=bot_id,
        user_id="conformance",
        additional_messages=[Message.build_user_question_text(QUESTION)],
    )
    return {
        "status": poll.chat.status.value,
        "usage": poll.chat.usage.model_dump(),
        "types": [message.type.value for message in poll.messages],
        "answers": [m.content for m in poll.messages if m.type.value == "answer"],
    }


def cancel(coze: Any, bot_id: str) -> Any:
    """A chat that is cancelled, and one that has ended and cannot be."""
    chat = coze.chat.create(
        bot_id=bot_id,
        user_id="conformance",
        additional_messages=[Message.build_user_question_text(QUESTION)],
    )
    ids = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    cancelled = coze.chat.cancel(**ids)
    return {
        "status": cancelled.status.value,
        "retrieved": coze.chat.retrieve(**ids).status.value,
        "again": failure(lambda: coze.chat.cancel(**ids)),
    }


def conversation(coze: Any, bot_id: str) -> Any:
    """Two chats of one conversation."""
    made = coze.conversations.create(bot_id=bot_id, meta_data={"case": "42"})
    answers = []
    for text in ("one", "two"):
        poll = coze.chat.create_and_poll(
            bot_id=bot_id,
            user_id="conformance",
            conversation_id=made.id,
            additional_messages=[Message.build_user_question_text(text)],
        )
        answers += [m.content for m in poll.messages if m.type.value == "answer"]
    found = coze.conversations.retrieve(conversation_id=made.id)
    return {"same": found.id == made.id, "meta_data": found.meta_data, "answers": answers}


def errors(coze: Any, bot_id: str) -> Any:
    """The error of a request that the server refuses, streamed and not."""

    def ask(**changes: Any) -> Any:
        question = [Message.build_user_question_text(QUESTION)]
        request = {"bot_id": bot_id, "user_id": "conformance", "additional_messages": question}
        return request | changes

    return {
        "create": failure(lambda: coze.chat.create(**ask())),
        "stream": failure(lambda: list(coze.chat.stream(**ask()))),
        "no_question": failure(lambda: coze.chat.create(**ask(additional_messages=[]))),
    }


def tools(coze: Any, bot_id: str) -> Any:
    """A tool that the client runs: its result is streamed on, then submitted without a stream."""
    question = [Message.build_user_question_text(QUESTION)]
    request = {"bot_id": bot_id, "user_id": "conformance", "additional_messages": question}
    *_, stopped = coze.chat.stream(**request)
    calls = stopped.chat.required_action.submit_tool_outputs.tool_calls
    outputs = [ToolOutput(tool_call_id=call.id, output="22") for call in calls]
    ids = {"conversation_id": stopped.chat.conversation_id, "chat_id": stopped.chat.id}
    told = list(coze.chat.submit_tool_outputs(**ids, tool_outputs=outputs, stream=True))
    poll = coze.chat.create_and_poll(**request)
    waiting = poll.chat.required_action.submit_tool_outputs.tool_calls
    ids = {"conversation_id": poll.chat.conversation_id, "chat_id": poll.chat.id}
    outputs = [ToolOutput(tool_call_id=call.id, output="33") for call in waiting]
    again = coze.chat.submit_tool_outputs(**ids, tool_outputs=outputs, stream=False)
    while (chat := coze.chat.retrieve(**ids)).status == ChatStatus.IN_PROGRESS:
        time.sleep(0.05)
    listed = coze.chat.messages.list(**ids)
    return {
        "stopped": stopped.event.value,
        "calls": [(call.function.name, call.function.arguments) for call in calls],
        "same": {event.chat.id for event in told if event.chat} == {stopped.chat.id},
        "told": [event.event.value for event in told],
        "statuses": [poll.chat.status.value, again.status.value, chat.status.value],
        "answers": [m.content for m in listed if m.type.value == "answer"],
    }


def chatflow(coze: Any, ids: str) -> Any:
    """A chatflow that asks something back; ``ids`` are of the workflow and of the bot."""
    workflow_id, bot_id = ids.split("/")
    request = {"workflow_id": workflow_id, "bot_id": bot_id, "parameters": {}}
    seen: dict[str, Any] = {"events": [], "answers": []}
    conversation_id = None
    for text in ("go", "Hangzhou"):
        question = [Message.build_user_question_text(text)]
        told = coze.workflows.chat.stream(
            **request, additional_messages=question, conversation_id=conversation_id
        )
        for event in told:
            seen["events"].append(event.event.value)
            if event.event == ChatEventType.CONVERSATION_MESSAGE_COMPLETED:
                if event.message.type.value == "answer":
                    seen["answers"].append(event.message.content)
            elif event.chat is not None:
                conversation_id = event.chat.conversation_id
    return seen


def workflow(coze: Any, ids: str) -> Any:
    """Runs of workflows that are not streamed; ``ids`` are of one that runs and one that fails."""
    good, bad = ids.split("/")
    runs = coze.workflows.runs
    done = runs.create(workflow_id=good, parameters={"city": "杭州"})
    return {
        "data": done.data,
        "debug_url": done.debug_url,
        "usage": done.usage.model_dump() if done.usage else None,
        "missing": failure(lambda: runs.create(workflow_id=good)),
        "failed": failure(lambda: runs.create(workflow_id=bad)),
        "unknown": failure(lambda: runs.create(workflow_id="7")),
    }


def workflow_stream(coze: Any, workflow_id: str) -> Any:
    """A streamed run that asks something back."""
    runs = coze.workflows.runs
    seen: dict[str, Any] = {"events": [], "messages": [], "ids": []}
    told = runs.stream(workflow_id=workflow_id, parameters={"city": "杭州"})
    while told is not None:
        stream, told = told, None
        for event in stream:
            seen["events"].append(event.event.value)
            seen["ids"].append(event.id)
            if event.message is not None:
                message = event.message
                seen["messages"].append([message.node_title, message.content])
                seen["usage"] = message.usage.model_dump() if message.usage else None
            elif event.interrupt is not None:
                data = event.interrupt.interrupt_data
                answers = {2: "yes", 5: '{"nights":2}'}
                told = runs.resume(
                    workflow_id=workflow_id,
                    event_id=data.event_id,
                    interrupt_type=data.type,
                    resume_data=answers[data.type],
                )
            elif event.error is not None:
                seen["error"] = [event.error.error_code, event.error.error_message]
    return seen


def workflow_poll(coze: Any, workflow_id: str) -> Any:
    """A run that is polled, and what the server tells of its workflows."""
    runs = coze.workflows.runs
    begun = runs.create(workflow_id=workflow_id, parameters={"city": "杭州"}, is_async=True)
    ids = {"workflow_id": workflow_id, "execute_id": begun.execute_id}
    while (run := runs.run_histories.retrieve(**ids)).execute_status.value == "Running":
        time.sleep(0.05)
    workspace = next(iter(coze.workspaces.list()))
    listed = list(coze.workflows.list(workspace_id=workspace.id, page_size=1))
    info = coze.workflows.retrieve(workflow_id=workflow_id).workflow_detail
    return {
        "run": [run.execute_status.value, run.run_mode.value, run.error_code, run.output],
        "listed": [workflow.workflow_name for workflow in listed],
        "info": [info.workflow_name, info.description],
        "unknown": failure(
            lambda: runs.run_histories.retrieve(workflow_id=workflow_id, execute_id="7")
        ),
    }


def files(coze: Any, bot_id: str) -> Any:
    """A file that is uploaded, found, and sent to a bot."""
    uploaded = coze.files.upload(file=("tea.txt", b"Tea grows on hills."))
    found = coze.files.retrieve(file_id=uploaded.id)
    parts = [
        MessageObjectString.build_text("What does it say?"),
        MessageObjectString.build_file(file_id=uploaded.id),
    ]
    poll = coze.chat.create_and_poll(
        bot_id=bot_id,
        user_id="conformance",
        additional_messages=[Message.build_user_question_objects(parts)],
    )
    return {
        "file": [found.id == uploaded.id, found.bytes, found.file_name],
        "answers": [m.content for m in poll.messages if m.type.value == "answer"],
        "missing": failure(lambda: coze.files.retrieve(file_id="7")),
    }


def resources(coze: Any, bot_id: str) -> Any:
    """Conversations and their messages: made, listed page by page, changed and deleted."""
    made = [coze.conversations.create(bot_id=bot_id, name=str(n)) for n in range(3)]
    place = {"conversation_id": made[0].id}
    messages = coze.conversations.messages
    written = [
        messages.create(
            **place, role=MessageRole.USER, content=text, content_type=MessageContentType.TEXT
        )
        for text in ("one", "two", "three")
    ]
    changed = messages.update(**place, message_id=written[0].id, content="changed")
    deleted = messages.delete(**place, message_id=written[1].id)
    section = coze.conversations.clear(**place)
    coze.conversations.update(**place, name="renamed")
    renamed = coze.conversations.retrieve(**place)
    coze.conversations.delete(conversation_id=made[1].id)
    listed = coze.conversations.list(bot_id=bot_id, page_size=1)
    return {
        "changed": [changed.id == written[0].id, changed.content],
        "deleted": deleted.content,
        "read": messages.retrieve(**place, message_id=written[2].id).content,
        "pages": [m.content for m in messages.list(**place, limit=1)],
        "ascending": [m.content for m in messages.list(**place, order="asc")],
        "section": [section.conversation_id == made[0].id, renamed.last_section_id == section.id],
        "conversations": [conversation.name for conversation in listed],
        "gone": failure(lambda: coze.conversations.retrieve(conversation_id=made[1].id)),
    }


def oauth(coze: Any, app_json: str) -> Any:
    """The SDK's own OAuth: a token, a session of its own, and an app that is not known."""
    base_url = coze._base_url
    app = json.loads(app_json)
    bot_id = app.pop("bot_id")
    sdk_app = JWTOAuthApp(**app, base_url=base_url)
    tokens = [sdk_app.get_access_token(ttl=60, session_name=name) for name in ("ada", "ben")]
    ada, ben = (Coze(auth=TokenAuth(t.access_token), base_url=base_url) for t in tokens)
    made = ada.conversations.create(bot_id=bot_id)
    mine = Coze(auth=JWTAuth(oauth_app=sdk_app, ttl=60), base_url=base_url)
    wrong = JWTOAuthApp(**(app | {"public_key_id": "7"}), base_url=base_url)
    return {
        "type": tokens[0].token_type,
        "left": tokens[0].expires_in - time.time(),
        "me": bool(mine.users.me().user_id),
        "own": ada.conversations.retrieve(conversation_id=made.id).id == made.id,
        "other": failure(lambda: ben.conversations.retrieve(conversation_id=made.id)),
        "wrong": failure(wrong.get_access_token),
    }


def failure(call: Callable[[], Any]) -> Any:
    """How the SDK reports that a call failed; None when it did not."""
    try:
        call()
    except CozeAPIError as error:
        return {"code": error.code, "msg": error.msg, "logid": bool(error.logid)}
    return None


def main() -> None:
    """Play one scene."""
    scene, base_url, token, bot_id = sys.argv[1:]
    coze = Coze(auth=TokenAuth(token), base_url=base_url)
    chats = (stream, create_and_poll, cancel, conversation, errors, tools, chatflow)
    flows = (workflow, workflow_stream, workflow_poll)
    scenes = {f.__name__: f for f in (*chats, *flows, files, resources, oauth)}
    sys.stdout.write(json.dumps(scenes[scene](coze, bot_id)))


if __name__ == "__main__":
    main()
