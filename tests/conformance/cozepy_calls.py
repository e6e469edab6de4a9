"""The calls of `tests.conformance.calls`, made with the official Python SDK in its environment.

Called as ``python cozepy_calls.py BASE_URL TOKEN FACTS [CALL …]``; prints one JSON line for each
call: what was seen, or how it failed. The calls are independent of each other and run at once.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cozepy  # type: ignore[import-not-found, unused-ignore]
from cozepy import (
    Coze,
    Message,
    MessageContentType,
    MessageObjectString,
    MessageRole,
    TokenAuth,
    ToolOutput,
)

BASE_URL, TOKEN = sys.argv[1:3]
FACTS: Any = json.loads(sys.argv[3])
BOTS, WORKFLOWS = FACTS["bots"], FACTS["workflows"]
COZE: Any = Coze(auth=TokenAuth(TOKEN), base_url=BASE_URL)
CALLS: dict[str, tuple[str, Callable[[], Any]]] = {}


def call(name: str, method: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Name a call and the method of the SDK that it is about."""

    def named(function: Callable[[], Any]) -> Callable[[], Any]:
        CALLS[name] = (method, function)
        return function

    return named


def ask(bot: str, text: str = "tea", **changes: Any) -> dict[str, Any]:
    """The request of a chat."""
    question = [Message.build_user_question_text(text)]
    request = {"bot_id": BOTS[bot], "user_id": "ada", "additional_messages": question}
    return request | changes


def answers(messages: Any) -> list[str]:
    """The texts of the answers among messages."""
    return [m.content for m in messages if m.type.value == "answer"]


def until(chat: Any) -> Any:
    """A chat that has ended, or waits."""
    ids = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    while chat.status.value in {"created", "in_progress"}:
        time.sleep(0.05)
        chat = COZE.chat.retrieve(**ids)
    return chat


def told(events: Any) -> dict[str, Any]:
    """What the events of a chat tell."""
    seen: dict[str, Any] = {"deltas": [], "answers": [], "recalled": [], "follow_ups": []}
    seen |= {"usage": False, "end": None, "failed": []}
    for event in events:
        name, message = event.event.value, event.message
        if name.startswith("conversation.chat."):
            seen["end"] = name
            usage = event.chat.usage
            seen["usage"] = seen["usage"] or bool(usage and usage.token_count)
            if name.endswith("failed"):
                seen["failed"] = [event.chat.last_error.code, event.chat.last_error.msg]
        elif name.endswith("delta"):
            seen["deltas"].append(message.content)
        elif message is not None and message.type.value == "answer":
            seen["answers"].append(message.content)
        elif message is not None and message.type.value == "follow_up":
            seen["follow_ups"].append(message.content)
        elif message is not None and "knowledge_recall" in message.content:
            chunks = json.loads(json.loads(message.content)["data"])["chunks"]
            seen["recalled"] += [chunk["slice"] for chunk in chunks]
    return seen


@call("chat.stream", "chat.stream")
def _stream() -> Any:
    return told(COZE.chat.stream(**ask("tea")))


@call("chat.stream.failed", "chat.stream")
def _stream_failed() -> Any:
    seen = told(COZE.chat.stream(**ask("broken")))
    return [seen["end"], seen["failed"]]


@call("chat.stream.refused", "chat.stream")
def _stream_refused() -> Any:
    return [event.event.value for event in COZE.chat.stream(**ask("draft"))]


@call("chat.create_and_poll", "chat.create_and_poll")
def _create_and_poll() -> Any:
    poll = COZE.chat.create_and_poll(**ask("tea"))
    usage = poll.chat.usage
    return [poll.chat.status.value, bool(usage and usage.token_count), answers(poll.messages)]


@call("chat.create_and_poll.failed", "chat.create_and_poll")
def _poll_failed() -> Any:
    chat = COZE.chat.create_and_poll(**ask("broken")).chat
    return [chat.status.value, chat.last_error.code, chat.last_error.msg]


def made_with_pairs(**fields: Any) -> Any:
    """A conversation with pairs of its own: Studio writes null for none, which cozepy rejects."""
    return COZE.conversations.create(meta_data={"case": "42"}, **fields)


@call("chat.create_and_poll.cancelled", "chat.create_and_poll")
def _poll_cancelled() -> Any:
    made = made_with_pairs()
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(COZE.chat.create_and_poll, **ask("slow", conversation_id=made.id))
        time.sleep(0.5)  # until it runs: a list without messages is another matter
        while not (found := list(COZE.conversations.messages.list(conversation_id=made.id))):
            time.sleep(0.05)
        COZE.chat.cancel(conversation_id=made.id, chat_id=found[0].chat_id)
        return later.result().chat.status.value


@call("chat.retrieve", "chat.retrieve")
def _retrieve() -> Any:
    chat = COZE.chat.create(**ask("slow"))
    found = COZE.chat.retrieve(conversation_id=chat.conversation_id, chat_id=chat.id)
    return [chat.status.value, found.id == chat.id, found.status.value]


@call("chat.cancel", "chat.cancel")
def _cancel() -> Any:
    chat = COZE.chat.create(**ask("slow"))
    return COZE.chat.cancel(conversation_id=chat.conversation_id, chat_id=chat.id).status.value


@call("chat.messages.list", "chat.messages.list")
def _chat_messages() -> Any:
    chats = (event.chat for event in COZE.chat.stream(**ask("tea")) if event.chat)
    last = next(chat for chat in chats if chat.status.value == "completed")
    listed = COZE.chat.messages.list(conversation_id=last.conversation_id, chat_id=last.id)
    return [m.type.value for m in listed]


@call("chat.conversation", "chat.stream")
def _conversation() -> Any:
    made = made_with_pairs(bot_id=BOTS["tea"])
    turns = [told(COZE.chat.stream(**ask("tea", conversation_id=made.id))) for _ in range(2)]
    return [turn["answers"] for turn in turns]


def outputs(chat: Any) -> dict[str, Any]:
    """The request that answers the tool call of a chat."""
    calls = chat.required_action.submit_tool_outputs.tool_calls
    made = [ToolOutput(tool_call_id=call.id, output="22") for call in calls]
    return {"conversation_id": chat.conversation_id, "chat_id": chat.id, "tool_outputs": made}


@call("chat.submit_tool_outputs.stream", "chat.submit_tool_outputs")
def _submit_stream() -> Any:
    *_, stopped = COZE.chat.stream(**ask("weather"))
    function = stopped.chat.required_action.submit_tool_outputs.tool_calls[0].function
    events = COZE.chat.submit_tool_outputs(**outputs(stopped.chat), stream=True)
    return [function.name, function.arguments, *told(events)["answers"]]


@call("chat.submit_tool_outputs.poll", "chat.submit_tool_outputs")
def _submit_poll() -> Any:
    chat = until(COZE.chat.create(**ask("weather")))
    again = COZE.chat.submit_tool_outputs(**outputs(chat), stream=False)
    ended = until(again)
    listed = COZE.chat.messages.list(conversation_id=chat.conversation_id, chat_id=chat.id)
    return [chat.status.value, again.id == chat.id, ended.status.value, *answers(listed)]


@call("conversations.create", "conversations.create")
def _conversations_create() -> Any:
    made = COZE.conversations.create()
    return [made.id.isdecimal(), made.meta_data]


@call("conversations.retrieve", "conversations.retrieve")
def _conversations_retrieve() -> Any:
    made = made_with_pairs()
    found = COZE.conversations.retrieve(conversation_id=made.id)
    return [found.id == made.id, found.meta_data]


@call("conversations.list", "conversations.list")
def _conversations_list() -> Any:
    made = [COZE.conversations.create(bot_id=BOTS["shelf"]).id for _ in range(3)]
    first = COZE.conversations.list(bot_id=BOTS["shelf"], page_num=1, page_size=2)
    return [len(first.items), first.has_more, {c.id for c in first} == set(made)]


@call("conversations.update", "conversations.update")
def _conversations_update() -> Any:
    made = COZE.conversations.create()
    return COZE.conversations.update(conversation_id=made.id, name="renamed").name


@call("conversations.delete", "conversations.delete")
def _conversations_delete() -> Any:
    made = made_with_pairs()
    COZE.conversations.delete(conversation_id=made.id)
    return code_of(lambda: COZE.conversations.retrieve(conversation_id=made.id))


@call("conversations.clear", "conversations.clear")
def _conversations_clear() -> Any:
    made = made_with_pairs()
    section = COZE.conversations.clear(conversation_id=made.id)
    return [section.conversation_id == made.id, section.id != made.last_section_id]


def written(*texts: str) -> tuple[dict[str, Any], list[Any]]:
    """A conversation with messages in it."""
    place = {"conversation_id": made_with_pairs().id}
    kind = {"role": MessageRole.USER, "content_type": MessageContentType.TEXT}
    create = COZE.conversations.messages.create
    return place, [create(**place, **kind, content=text) for text in texts]


@call("conversations.messages.create", "conversations.messages.create")
def _messages_create() -> Any:
    place, (message,) = written("one")
    return [
        message.content,
        message.role.value,
        message.conversation_id == place["conversation_id"],
    ]


@call("conversations.messages.list", "conversations.messages.list")
def _messages_list() -> Any:
    messages = [Message.build_user_question_text(text) for text in ("one", "two", "three")]
    place = {"conversation_id": made_with_pairs(messages=messages).id}
    page = COZE.conversations.messages.list(**place, order="asc", limit=2)
    first = [m.content for m in page.items]
    return [first, page.has_more, [m.content for m in page]]


@call("conversations.messages.retrieve", "conversations.messages.retrieve")
def _messages_retrieve() -> Any:
    place, (message,) = written("one")
    return COZE.conversations.messages.retrieve(**place, message_id=message.id).content


@call("conversations.messages.update", "conversations.messages.update")
def _messages_update() -> Any:
    place, (message,) = written("one")
    changed = COZE.conversations.messages.update(
        **place, message_id=message.id, content="two", content_type=MessageContentType.TEXT
    )
    return [changed.id == message.id, changed.content]


@call("conversations.messages.delete", "conversations.messages.delete")
def _messages_delete() -> Any:
    place, (message, _) = written("one", "two")
    deleted = COZE.conversations.messages.delete(**place, message_id=message.id)
    left = [m.content for m in COZE.conversations.messages.list(**place)]
    return [deleted.content, left]


def uploaded() -> Any:
    """A file of the account."""
    return COZE.files.upload(file=("茶.txt", io.BytesIO(b"Tea grows on hills.")))


@call("files.upload", "files.upload")
def _files_upload() -> Any:
    file = uploaded()
    return [file.file_name, file.bytes]


@call("files.retrieve", "files.retrieve")
def _files_retrieve() -> Any:
    file = uploaded()
    found = COZE.files.retrieve(file_id=file.id)
    return [found.id == file.id, found.file_name, found.bytes]


@call("chat.file", "chat.stream")
def _chat_file() -> Any:
    parts = [
        MessageObjectString.build_text("What does it say?"),
        MessageObjectString.build_file(file_id=uploaded().id),
    ]
    question = [Message.build_user_question_objects(parts)]
    return told(COZE.chat.stream(**ask("read", additional_messages=question)))["answers"]


@call("workflows.runs.create", "workflows.runs.create")
def _runs_create() -> Any:
    run = COZE.workflows.runs.create(workflow_id=WORKFLOWS["locate"], parameters={"city": "杭州"})
    return [json.loads(run.data), WORKFLOWS["locate"] in run.debug_url]


@call("workflows.runs.create.failed", "workflows.runs.create")
def _runs_failed() -> Any:
    return code_of(lambda: COZE.workflows.runs.create(workflow_id=WORKFLOWS["fail"]))


@call("workflows.runs.create.async", "workflows.runs.run_histories.retrieve")
def _runs_async() -> Any:
    runs, place = COZE.workflows.runs, {"workflow_id": WORKFLOWS["locate"]}
    begun = runs.create(**place, parameters={"city": "杭州"}, is_async=True)
    place["execute_id"] = begun.execute_id
    while (run := runs.run_histories.retrieve(**place)).execute_status.value == "Running":
        time.sleep(0.05)
    output = json.loads(json.loads(run.output)["Output"])
    return [run.execute_status.value, run.run_mode.value, run.error_code, output]


def flow(name: str) -> dict[str, Any]:
    """What a streamed run tells, with its questions answered."""
    runs, place = COZE.workflows.runs, {"workflow_id": WORKFLOWS[name]}
    seen: dict[str, Any] = {"events": [], "texts": []}
    stream = runs.stream(**place, parameters={"city": "杭州"})
    while stream is not None:
        events, stream = stream, None
        for event in events:
            seen["events"].append(event.event.value)
            if event.message:
                seen["texts"].append(event.message.content)
            if event.error:
                seen["texts"].append(event.error.error_message)
            if event.interrupt:
                asked = event.interrupt.interrupt_data
                answer = {2: "yes", 5: '{"nights":2}'}[asked.type]
                about = {"event_id": asked.event_id, "interrupt_type": asked.type}
                stream = runs.resume(**place, **about, resume_data=answer)
    return seen


@call("workflows.runs.stream", "workflows.runs.stream")
def _runs_stream() -> Any:
    seen = flow("locate")
    return [json.loads(seen["texts"][-1]), "Error" in seen["events"]]


@call("workflows.runs.stream.failed", "workflows.runs.stream")
def _runs_stream_failed() -> Any:
    seen = flow("fail")
    return [seen["events"], seen["texts"]]


@call("workflows.runs.stream.ping", "workflows.runs.stream")
def _runs_ping() -> Any:
    return flow("wait")["texts"][0]


@call("workflows.runs.resume", "workflows.runs.resume")
def _runs_resume() -> Any:
    seen = flow("book")
    return [seen["events"].count("Interrupt"), json.loads(seen["texts"][-1])]


@call("workflows.chat.stream", "workflows.chat.stream")
def _chatflow() -> Any:
    seen: list[str] = []
    place: dict[str, Any] = {"conversation_id": made_with_pairs().id}
    for text in ("go", "Hangzhou"):
        events = COZE.workflows.chat.stream(
            **place,
            workflow_id=FACTS["chatflow"],
            bot_id=BOTS["tea"],
            parameters={},
            additional_messages=[Message.build_user_question_text(text)],
        )
        seen += told(events)["answers"]
    return seen


@call("workflows.list", "workflows.list")
def _workflows_list() -> Any:
    listed = COZE.workflows.list(workspace_id=FACTS["workspace"], page_size=2)
    return [workflow.workflow_name for workflow in listed]


@call("workflows.retrieve", "workflows.retrieve")
def _workflows_retrieve() -> Any:
    found = COZE.workflows.retrieve(workflow_id=WORKFLOWS["locate"]).workflow_detail
    return [found.workflow_name, found.description]


@call("bots.retrieve", "bots.retrieve")
def _bots_retrieve() -> Any:
    return COZE.bots.retrieve(bot_id=BOTS["tea"]).name


@call("bots.list", "bots.list")
def _bots_list() -> Any:
    return [bot.bot_name for bot in COZE.bots.list(space_id=FACTS["workspace"])]


def made_dataset(name: str = "notes") -> str:
    """A new knowledge base."""
    made = COZE.datasets.create(
        name=name, space_id=FACTS["workspace"], format_type=cozepy.DocumentFormatType.DOCUMENT
    )
    return str(made.dataset_id)


def named_like(name: str) -> list[str]:
    """The names of the knowledge bases with this in their names."""
    found = COZE.datasets.list(space_id=FACTS["workspace"], name=name)
    return [dataset.name for dataset in found]


def added(dataset_id: str, *bases: Any) -> list[Any]:
    """Documents that were added, a text unless others are given."""
    text = cozepy.DocumentSourceInfo.build_local_file("Tea grows on hills.")
    bases = bases or (cozepy.DocumentBase(name="tea.txt", source_info=text),)
    strategy = cozepy.DocumentChunkStrategy.build_auto()
    return list(
        COZE.datasets.documents.create(
            dataset_id=dataset_id, document_bases=list(bases), chunk_strategy=strategy
        )
    )


@call("datasets.create", "datasets.create")
def _datasets_create() -> Any:
    return [made_dataset().isdecimal(), named_like("notes")]


@call("datasets.update", "datasets.update")
def _datasets_update() -> Any:
    dataset_id = made_dataset("old")
    COZE.datasets.update(dataset_id=dataset_id, name="renamed")
    return named_like("renamed")[0]


@call("datasets.delete", "datasets.delete")
def _datasets_delete() -> Any:
    COZE.datasets.delete(dataset_id=made_dataset("short-lived"))
    return named_like("short-lived")


@call("datasets.documents.create", "datasets.documents.create")
def _documents_create() -> Any:
    dataset_id = made_dataset("adding")
    page = cozepy.DocumentSourceInfo.build_web_page("https://example.com/")
    made = added(dataset_id)
    made += added(dataset_id, cozepy.DocumentBase(name="page", source_info=page))
    return [[document.name, document.type, document.source_type] for document in made]


@call("datasets.documents.list", "datasets.documents.list")
def _documents_list() -> Any:
    dataset_id = made_dataset("listing")
    made = {document.document_id for _ in range(12) for document in added(dataset_id)}
    listed = list(COZE.datasets.documents.list(dataset_id=dataset_id))
    return [len(listed), len(made & {document.document_id for document in listed})]


@call("datasets.documents.update", "datasets.documents.update")
def _documents_update() -> Any:
    dataset_id = made_dataset("renaming")
    (document,) = added(dataset_id)
    change = {"document_id": document.document_id, "document_name": "coffee.txt"}
    COZE.datasets.documents.update(**change)
    return next(iter(COZE.datasets.documents.list(dataset_id=dataset_id))).name


@call("datasets.documents.delete", "datasets.documents.delete")
def _documents_delete() -> Any:
    dataset_id = made_dataset("deleting")
    ids = [document.document_id for document in added(dataset_id)]
    COZE.datasets.documents.delete(document_ids=ids)
    return [document.name for document in COZE.datasets.documents.list(dataset_id=dataset_id)]


@call("datasets.process", "datasets.process")
def _datasets_process() -> Any:
    dataset_id = made_dataset("processing")
    ids = [document.document_id for document in added(dataset_id)]
    found = COZE.datasets.process(dataset_id=dataset_id, document_ids=ids)
    return [[item.document_name, item.status, item.progress] for item in found]


@call("workspaces.list", "workspaces.list")
def _workspaces_list() -> Any:
    return [workspace.id == FACTS["workspace"] for workspace in COZE.workspaces.list()]


@call("users.me", "users.me")
def _users_me() -> Any:
    return [bool(COZE.users.me().user_id)]


@call("oauth.jwt", "users.me")
def _oauth() -> Any:
    app = FACTS["app"]
    signer = cozepy.JWTOAuthApp(
        client_id=app["id"],
        private_key=app["key"],
        public_key_id=app["key_id"],
        base_url=BASE_URL,
    )
    token = signer.get_access_token(ttl=60, session_name="ada").access_token
    return [bool(Coze(auth=TokenAuth(token), base_url=BASE_URL).users.me().user_id)]


@call("error.4000", "chat.create")
def _error_4000() -> Any:
    return COZE.chat.create(**ask("tea", bot_id="")).id


@call("error.4015", "chat.create")
def _error_4015() -> Any:
    return COZE.chat.create(**ask("draft")).id


@call("error.4100", "chat.create")
def _error_4100() -> Any:
    return Coze(auth=TokenAuth("pat_wrong"), base_url=BASE_URL).chat.create(**ask("tea")).id


@call("error.4101", "chat.create")
def _error_4101() -> Any:
    return COZE.chat.create(**ask("forbidden")).id


@call("error.4200", "workflows.runs.create")
def _error_4200() -> Any:
    return COZE.workflows.runs.create(workflow_id=WORKFLOWS["hidden"]).data


def code_of(attempt: Callable[[], Any]) -> Any:
    """The code that a call fails with, and whether the error tells its log id."""
    try:
        attempt()
    except cozepy.CozeAPIError as error:
        return [error.code, bool(error.logid)]
    return None


def failure(error: Exception) -> list[Any]:
    """How a call failed: the SDK's own class, then the code, or the message where there is none."""
    if code := getattr(error, "code", None):
        return [type(error).__name__, code]
    text, _, _ = str(error).partition("\n")
    return [type(error).__name__, text.partition(", logid")[0]]


def seen_by(name: str) -> dict[str, Any]:
    """The line of one call."""
    method, function = CALLS[name]
    place = COZE
    for part in method.split("."):
        place = getattr(place, part, None)
    if place is None:
        return {"call": name, "missing": method}
    try:
        return {"call": name, "saw": function()}
    except Exception as error:  # noqa: BLE001 - how it fails is what we want to know
        return {"call": name, "error": failure(error)}


def main() -> None:
    """Make the calls."""
    wanted = sys.argv[4:] or CALLS
    with ThreadPoolExecutor(16) as pool:
        for line in pool.map(seen_by, wanted):
            sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
