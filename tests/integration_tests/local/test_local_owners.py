"""What belongs to one user of a local server is not there for any other.

A user is a token, or a session of an OAuth app: two tokens of one session are the same user.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import pytest

from langchain_coze.local import (
    Ask,
    ClientTool,
    FileKind,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalOAuthApp,
    LocalWorkflow,
    Pause,
    Turn,
    TurnFile,
)
from tests.conftest import serve
from tests.integration_tests.local.local_client import events, user
from tests.integration_tests.local.test_local_oauth import exchange, signed

APP = LocalOAuthApp()
OTHER_APP = LocalOAuthApp()


def reply(question: str, turn: Turn) -> Iterator[Any]:
    if question == "tool":
        yield (yield ClientTool("weather"))
    if question == "long":
        yield Pause(0.5)
    yield "; ".join(file.data.decode() or file.url or "nothing" for file in turn.files) or "none"


def book(city: str) -> Generator[Any, str, str]:
    yield "looking"
    nights = yield Ask("How many nights?")
    return f"{nights} in {city}"


def size(file: Annotated[TurnFile, FileKind()]) -> int:
    return len(file.data)


BOT = LocalBot(reply, name="bot")
FLOW = LocalChatflow(reply, name="flow", app_id="7")
BOOK, SIZE = LocalWorkflow(book), LocalWorkflow(size)


@dataclass
class User:
    """One who sends requests."""

    http: httpx.Client
    made: dict[str, str] = field(default_factory=dict)

    def ask(self, verb: str, path: str, **options: Any) -> Any:
        return self.http.request(verb, path, **options).json()

    def chat(self, question: dict[str, Any], place: str = "", **fields: Any) -> httpx.Response:
        body = {"bot_id": BOT.bot_id, "user_id": "u", "additional_messages": [question]} | fields
        params = {"conversation_id": place} if place else {}
        return self.http.post("/v3/chat", json=body, params=params)

    def begin(self) -> None:
        """Own one thing of each kind."""
        made, ask = self.made, self.ask
        body = {"bot_id": BOT.bot_id, "name": "mine", "messages": [user("secret")]}
        made["conversation"] = ask("POST", "/v1/conversation/create", json=body)["data"]["id"]
        place = {"conversation_id": made["conversation"]}
        listed = ask("POST", "/v1/conversation/message/list", params=place)
        made["message"] = listed["data"][0]["id"]
        made["file"] = ask("POST", "/v1/files/upload", files={"file": b"secret bytes"})["data"][
            "id"
        ]
        self._begin_chats()
        run = {"workflow_id": BOOK.workflow_id, "parameters": {"city": "Hangzhou"}}
        made["event"] = ask("POST", "/v1/workflow/run", json=run)["interrupt_data"]["event_id"]
        streamed = self.http.post("/v1/workflow/stream_run", json=run).text
        found = json.loads(streamed.rpartition("data: ")[2])
        made["stream_event"] = found["interrupt_data"]["event_id"]

    def _begin_chats(self) -> None:
        for name, stream in (("tool", False), ("unsaved", True), ("long", False)):
            question = user("tool" if name == "unsaved" else name)
            got = self.chat(question, stream=stream, auto_save_history=not stream)
            chat = events(got)[0][1] if stream else got.json()["data"]
            self.made |= {name: chat["id"], f"{name}_place": chat["conversation_id"]}


coze = serve(
    BOT,
    chatflows=FLOW,
    workflows=[BOOK, SIZE],
    more_tokens=["pat_other"],
    oauth_apps=[APP, OTHER_APP],
)


def users(coze: LocalCoze, name: str) -> User:
    tokens = {"main": coze.token, "other": "pat_other"}
    if name in tokens:
        token = tokens[name]
    else:
        session, _, app = name.partition("@")
        jwt = signed(coze, OTHER_APP if app else APP, session_name=session or None)
        token = exchange(coze, jwt).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return User(httpx.Client(base_url=coze.base_url, headers=headers, timeout=20, trust_env=False))


def requests(own: dict[str, str]) -> dict[str, tuple[int, str, str, dict[str, Any]]]:
    """What a stranger may try with somebody's ids: the code, and the request."""
    place = {"conversation_id": own["conversation"]}
    one = f"/v1/conversations/{own['conversation']}"
    message = {"params": place | {"message_id": own["message"]}}
    base, hand = "/v1/conversation/message", {"role": "user", "content": "x"}
    hand |= {"content_type": "text"}
    chats = {
        n: {"conversation_id": own[f"{n}_place"], "chat_id": own[n]}
        for n in ("tool", "unsaved", "long")
    }
    outputs = {"tool_outputs": [{"tool_call_id": "1", "output": "x"}]}
    submit = "/v3/chat/submit_tool_outputs"
    chat = {"bot_id": BOT.bot_id, "user_id": "u", "stream": True}
    chat |= {"additional_messages": [user()]}
    flow: dict[str, Any] = {
        "workflow_id": FLOW.workflow_id,
        "app_id": "7",
        "additional_messages": [user()],
    }
    flow |= {"parameters": {}}
    event, stream_event = own["event"], own["stream_event"]
    resume = {"workflow_id": BOOK.workflow_id, "interrupt_type": 2, "resume_data": "2"}
    history = f"/v1/workflows/{BOOK.workflow_id}/run_histories"
    return {
        "retrieve": (4002, "GET", "/v1/conversation/retrieve", {"params": place}),
        "chat in it": (4002, "POST", "/v3/chat", {"params": place, "json": chat}),
        "chatflow in it": (4002, "POST", "/v1/workflows/chat", {"json": flow | place}),
        "message list": (4002, "POST", f"{base}/list", {"params": place}),
        "message create": (4002, "POST", f"{base}/create", {"params": place, "json": hand}),
        "message retrieve": (4002, "GET", f"{base}/retrieve", message),
        "message modify": (4002, "POST", f"{base}/modify", message | {"json": {"content": "x"}}),
        "message delete": (4002, "POST", f"{base}/delete", message),
        "chat retrieve": (4001, "GET", "/v3/chat/retrieve", {"params": chats["tool"]}),
        "chat messages": (4001, "GET", "/v3/chat/message/list", {"params": chats["tool"]}),
        "cancel": (4001, "POST", "/v3/chat/cancel", {"json": chats["long"]}),
        "submit": (4001, "POST", submit, {"params": chats["tool"], "json": outputs}),
        "submit unsaved": (4001, "POST", submit, {"params": chats["unsaved"], "json": outputs}),
        "file": (4000, "GET", "/v1/files/retrieve", {"params": {"file_id": own["file"]}}),
        "history": (4314, "GET", f"{history}/{event.partition('/')[0]}", {}),
        "resume": (4314, "POST", "/v1/workflows/resume", {"json": resume | {"event_id": event}}),
        "stream resume": (
            *(4314, "POST", "/v1/workflow/stream_resume"),
            {"json": resume | {"event_id": stream_event}},
        ),
        "rename": (4002, "PUT", one, {"json": {"name": "theirs"}}),
        "clear": (4002, "POST", f"{one}/clear", {}),
        "delete": (4002, "DELETE", one, {}),
    }


PAIRS = [
    *(("main", "other"), ("other", "main"), ("main", "ada"), ("ada", "main"), ("ada", "ben")),
    *(("", "ada"), ("ada", ""), ("ada", "ada@other")),
]


@pytest.mark.parametrize(("owner", "stranger"), PAIRS)
def test_a_stranger_finds_nothing(coze: LocalCoze, owner: str, stranger: str) -> None:
    mine, theirs = users(coze, owner), users(coze, stranger)
    mine.begin()
    tries = requests(mine.made)
    for name, (code, verb, path, options) in tries.items():
        assert theirs.ask(verb, path, **options)["code"] == code, name
    params = {"bot_id": BOT.bot_id}
    listed = theirs.ask("GET", "/v1/conversations", params=params)["data"]["conversations"]
    assert mine.made["conversation"] not in str(listed)
    # The owner's own requests do something: the strangers' were refused for who sent them.
    for name, (_, verb, path, options) in tries.items():
        got = mine.http.request(verb, path, **options)
        if name.startswith("submit"):
            assert got.json()["code"] == {"submit": 4000, "submit unsaved": 5000}[name]
        elif got.headers["content-type"].startswith("application/json"):
            assert got.json()["code"] == 0, name
        else:
            assert "event" in got.text, name


def file_message(file_id: str) -> dict[str, Any]:
    items = [{"type": "text", "text": "read"}, {"type": "file", "file_id": file_id}]
    return user(json.dumps(items), content_type="object_string")


@pytest.mark.parametrize(("owner", "stranger"), PAIRS[:5])
def test_nobody_reads_the_files_of_others(coze: LocalCoze, owner: str, stranger: str) -> None:
    mine, theirs = users(coze, owner), users(coze, stranger)
    mine.begin()
    file_id = mine.made["file"]
    question = file_message(file_id)
    assert theirs.chat(question).json()["code"] == 4000
    run: dict[str, Any] = {"workflow_id": SIZE.workflow_id}
    run |= {"parameters": {"file": json.dumps({"file_id": file_id})}}
    assert theirs.ask("POST", "/v1/workflow/run", json=run)["code"] == 4000
    assert mine.ask("POST", "/v1/workflow/run", json=run)["data"] == '{"output":12}'
    # Nor by way of a message that is in a conversation already.
    for asking, wanted in ((mine, "secret bytes"), (theirs, "nothing")):
        body = {"bot_id": BOT.bot_id, "messages": [question]}
        place = asking.ask("POST", "/v1/conversation/create", json=body)["data"]["id"]
        got = events(asking.chat(user("and?"), place, stream=True))
        said = [
            d["content"] for n, d in got if n.endswith("completed") and d.get("type") == "answer"
        ]
        assert said == [wanted]


def test_a_named_conversation_belongs_to_its_owner(coze: LocalCoze) -> None:
    mine, theirs = users(coze, "main"), users(coze, "other")
    named = {"name": "of main alone"}
    assert mine.ask("POST", "/v1/conversation/create", json=named)["code"] == 0
    body: dict[str, Any] = {
        "workflow_id": FLOW.workflow_id,
        "app_id": "7",
        "additional_messages": [user()],
    }
    body |= {"parameters": {"CONVERSATION_NAME": named["name"]}}
    assert "chat.completed" in mine.http.post("/v1/workflows/chat", json=body).text
    assert "720702204" in theirs.http.post("/v1/workflows/chat", json=body).text


def test_each_user_sees_their_own_account(coze: LocalCoze) -> None:
    names = ["main", "other", "ada", "ben", "ada@other", ""]
    ids = [users(coze, n).ask("GET", "/v1/users/me")["data"]["user_id"] for n in names]
    assert len({*ids}) == len(names)
    again = users(coze, "ada")  # another token of the same session
    assert again.ask("GET", "/v1/users/me")["data"]["user_id"] == ids[2]
    body = {"bot_id": BOT.bot_id}
    made = again.ask("POST", "/v1/conversation/create", json=body)["data"]
    assert made["creator_id"] == ids[2]


def test_things_last_as_long_as_the_server(coze: LocalCoze) -> None:
    first = users(coze, "ada")
    first.begin()
    for owner in (first, users(coze, "ada")):
        for name in ("retrieve", "message list", "chat messages", "file", "history"):
            _, verb, path, options = requests(first.made)[name]
            assert owner.ask(verb, path, **options)["code"] == 0, name
