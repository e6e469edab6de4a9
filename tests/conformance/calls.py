"""What each call of the official SDKs should see, and which of their defects are known.

The sessions `cozepy_calls.py` and `coze_js_session.mjs` make the calls; `judged` says how each of
them went. A defect is told by exactly what it makes of the server's bytes, so that an SDK that has
been mended is noticed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROFILES = ("cloud", "studio")


@dataclass(frozen=True)
class Defect:
    """What an SDK does wrong.

    Attributes:
        en: The defect in a sentence.
        zh: The same in Chinese.
    """

    en: str
    zh: str


@dataclass(frozen=True)
class Told:
    """The line of a session that is expected.

    Attributes:
        line: ``{"saw": …}``, ``{"error": …}`` or ``{"missing": …}``; empty where it is not tried.
        kind: ``"ok"``, ``"defect"``, ``"missing"``: the SDK does not have it, or ``"nowhere"``:
            the installation does not have it.
        defect: What is wrong where ``kind`` is ``"defect"``.
    """

    line: Mapping[str, Any]
    kind: str = "ok"
    defect: Defect | None = None


def saw(value: Any) -> Told:
    """The call goes well and gives this."""
    return Told({"saw": value})


def fails(kind: str, code: int) -> Told:
    """The call is refused, and the SDK raises this class with this code."""
    return Told({"error": [kind, code]})


def wrong(defect: Defect, line: Mapping[str, Any]) -> Told:
    """The SDK makes something else of the answer."""
    return Told(line, "defect", defect)


def lacks(method: str) -> Told:
    """The SDK does not have the method."""
    return Told({"missing": method}, "missing")


def raises(defect: Defect, kind: str, what: Any) -> Told:
    """The SDK fails where the answer is in order."""
    return wrong(defect, {"error": [kind, what]})


_EMPTY_END = Defect(
    "parses the empty data of Studio's last event, `conversation.stream.done`, as JSON: "
    "every stream ends with an error",
    "把 Studio 最后的事件 `conversation.stream.done` 的空数据当作 JSON 解析，流总是以报错结束",
)
_POST = Defect(
    "calls `/v3/chat/retrieve` by POST, which only the hosted service accepts",
    "用 POST 请求 `/v3/chat/retrieve`，只有扣子云端接受",
)
_CANCEL = Defect(
    "does not know Studio's `ChatV3ChatDetail` in the response for a cancelled chat",
    "不认识 Studio 取消对话时返回的 `ChatV3ChatDetail`",
)
_MESSAGES = Defect(
    "does not know Studio's `Messages` in the list of a chat's messages",
    "不认识 Studio 的对话消息列表中的 `Messages`",
)
_CONVERSATION = Defect(
    "does not know Studio's `ConversationData`",
    "不认识 Studio 的 `ConversationData`",
)
_LOOPS = Defect(
    "polls a cancelled chat forever",
    "对已取消的对话无限轮询",
)
_GENERATOR = Defect(
    "`submitToolOutputs` with `stream: false` returns a generator without items; the chat is "
    "only in its return value",
    "`submitToolOutputs` 设置 `stream: false` 时返回没有元素的生成器，对话只在生成器的返回值中",
)
_ERROR_EVENT = Defect(
    "reports a refused stream as an event `error`, not as an exception",
    "流式请求被拒绝时不抛出异常，只给出 `error` 事件",
)
_EMPTY_ID = Defect(
    "sends an empty `conversation_id` with a chat that has no conversation; Studio refuses it",
    "对话未指定会话时发送空的 `conversation_id`，被 Studio 拒绝",
)
_NO_PAIRS = Defect(
    "does not accept `meta_data: null`, which Studio sends for a conversation without pairs",
    "不接受 `meta_data: null`，而 Studio 对没有键值对的会话就是这样返回的",
)
_NO_DATA = Defect(
    "does not accept a list of messages without `data`, which is how an empty list is sent",
    "不接受没有 `data` 的消息列表，而空列表就是这样返回的",
)
_NO_CHANNEL = Defect(
    "calls `get_online_info` without `connector_id`; Studio answers with HTTP 500",
    "请求 `get_online_info` 时不带 `connector_id`，Studio 返回 HTTP 500",
)
_ID_LINES = Defect(
    "raises on the `id:` lines of Studio's chatflows",
    "遇到 Studio 对话流中的 `id:` 行时抛出异常",
)
_NO_FAILED = Defect(
    "does not take `failed_file_list: null`, which Studio writes where no file has failed",
    "不接受 `failed_file_list: null`，而 Studio 在没有失败文件时就这样写",
)
_NODE_TITLE = Defect(
    "requires a `node_title` in interrupts, which Studio does not send",
    "要求中断事件带有 `node_title`，而 Studio 不发送",
)

_PARSE = "Could not parse message into JSON:"
_NO_END = raises(_EMPTY_END, "CozeError", _PARSE)
_NULL_PAIRS = raises(_NO_PAIRS, "ValidationError", "1 validation error for Conversation")
_NULL_FAILED = raises(
    _NO_FAILED, "ValidationError", "1 validation error for _PrivateListDatasetsData"
)
_NOWHERE = {
    "cozepy/studio": Told({"error": ["CozeAPIError", 401]}, "nowhere"),
    "coze-js/studio": Told({"error": ["AuthenticationError", 401]}, "nowhere"),
}
_WITHOUT_CONVERSATION = {"cozepy/studio": raises(_EMPTY_ID, "CozeAPIError", 400)}
_BY_POST = {
    **_WITHOUT_CONVERSATION,
    "coze-js/studio": raises(_POST, "NotFoundError", 404),
}
_UNPLAYED = {"studio": Told({}, "nowhere")}
_ANSWER = "tea: 杯 & <2>"
_TURN = {
    "deltas": ["tea: ", "杯 & <2>"],
    "answers": [_ANSWER],
    "recalled": ["Tea grows on hills."],
    "follow_ups": ["Which hills?"],
    "usage": True,
    "end": "conversation.chat.completed",
    "failed": [],
}
_OUTPUT = {"output": "杭州 & 116.4°E"}
_LISTED = ["tea", "weather", "slow", "read", "broken", "forbidden", "shelf"]


def _undefined(defect: Defect, name: str) -> Told:
    message = f"Cannot read properties of undefined (reading '{name}')"
    return raises(defect, "TypeError", message)


def _refused(kind: str, code: int, studio: int, studio_kind: str = "APIError") -> dict[str, Told]:
    return {
        "cozepy": fails("CozeAPIError", code),
        "coze-js": fails(kind, code),
        "cozepy/studio": fails("CozeAPIError", studio),
        "coze-js/studio": fails(studio_kind, studio),
    }


# By call: what is expected by `SDK/PROFILE`, else by `SDK`, else by `PROFILE`, else by "".
CALLS: Mapping[str, Mapping[str, Told]] = {
    "chat.stream": {
        "": saw(_TURN),
        **_WITHOUT_CONVERSATION,
        "coze-js/studio": _NO_END,
    },
    "chat.stream.failed": {
        "": saw(["conversation.chat.failed", [5000, "event interval error"]]),
        **_WITHOUT_CONVERSATION,
        "coze-js/studio": _NO_END,
    },
    "chat.stream.refused": {
        "cozepy": fails("CozeAPIError", 4015),
        **_WITHOUT_CONVERSATION,
        "coze-js": wrong(_ERROR_EVENT, {"saw": ["error"]}),
    },
    "chat.create_and_poll": {"": saw(["completed", True, [_ANSWER]]), **_BY_POST},
    "chat.create_and_poll.failed": {
        "": saw(["failed", 5000, "event interval error"]),
        "cozepy": raises(_NO_DATA, "ValidationError", "1 validation error for Message"),
        **_BY_POST,
    },
    "chat.create_and_poll.cancelled": {
        "cozepy": raises(_NO_DATA, "ValidationError", "1 validation error for Message"),
        "coze-js": wrong(_LOOPS, {"saw": "still polling"}),
        "cozepy/studio": raises(_CANCEL, "ValidationError", "2 validation errors for Chat"),
        "coze-js/studio": raises(_POST, "NotFoundError", 404),
    },
    "chat.retrieve": {"": saw(["in_progress", True, "in_progress"]), **_BY_POST},
    "chat.cancel": {
        "": saw("canceled"),
        **_WITHOUT_CONVERSATION,
        "coze-js/studio": _undefined(_CANCEL, "status"),
    },
    "chat.messages.list": {
        "": saw(["verbose", "answer", "verbose", "follow_up"]),
        **_WITHOUT_CONVERSATION,
        "coze-js/studio": _undefined(_MESSAGES, "map"),
    },
    "chat.conversation": {
        "": saw([[_ANSWER], ["tea: 杯 & <4>"]]),
        "coze-js/studio": _NO_END,
    },
    "chat.submit_tool_outputs.stream": {
        "": saw(["get_weather", '{"city":"杭州"}', "It is 22 degrees."]),
        **_UNPLAYED,
    },
    "chat.submit_tool_outputs.poll": {
        "": saw(["requires_action", True, "completed", "It is 22 degrees."]),
        "coze-js/cloud": wrong(_GENERATOR, {"saw": {"generator": []}}),
        **_UNPLAYED,
    },
    "chat.file": {
        "": saw(["茶.txt: Tea grows on hills."]),
        **_WITHOUT_CONVERSATION,
        "coze-js/studio": _NO_END,
    },
    "conversations.create": {
        "": saw([True, {}]),
        "cozepy/studio": _NULL_PAIRS,
        "coze-js/studio": saw([True, None]),
    },
    "conversations.retrieve": {
        "": saw([True, {"case": "42"}]),
        "cozepy/studio": raises(
            _CONVERSATION, "ValidationError", "4 validation errors for Conversation"
        ),
        "coze-js/studio": _undefined(_CONVERSATION, "id"),
    },
    "conversations.list": {"": saw([2, True, True]), "cozepy/studio": _NULL_PAIRS},
    "conversations.update": {
        "": saw("renamed"),
        "coze-js": lacks("conversations.update"),
        "cozepy/studio": _NULL_PAIRS,
    },
    "conversations.delete": {
        "": saw([4002, True]),
        "coze-js": lacks("conversations.delete"),
        "cozepy/studio": raises(
            _CONVERSATION, "ValidationError", "4 validation errors for Conversation"
        ),
    },
    "conversations.clear": {"": saw([True, True])},
    "conversations.messages.create": {"": saw(["one", "user", True]), **_NOWHERE},
    "conversations.messages.list": {
        "": saw([["one", "two"], True, ["one", "two", "three"]]),
        # Studio ignores the messages of a new conversation.
        "cozepy/studio": raises(
            _NO_DATA, "ValidationError", "1 validation error for _PrivateListMessageResp"
        ),
        "coze-js/studio": _undefined(_NO_DATA, "map"),
    },
    "conversations.messages.retrieve": {"": saw("one"), **_NOWHERE},
    "conversations.messages.update": {"": saw([True, "two"]), **_NOWHERE},
    "conversations.messages.delete": {"": saw(["one", ["two"]]), **_NOWHERE},
    "files.upload": {"": saw(["茶.txt", 19])},
    "files.retrieve": {"": saw([True, "茶.txt", 19]), **_NOWHERE},
    "workflows.runs.create": {"": saw([_OUTPUT, True])},
    "workflows.runs.create.failed": {
        "": saw([720701013, True]),
        "studio": saw([720701013, False]),
    },
    "workflows.runs.create.async": {"": saw(["Success", 2, 0, _OUTPUT]), **_NOWHERE},
    "workflows.runs.stream": {"": saw([_OUTPUT, False])},
    "workflows.runs.stream.failed": {
        "": saw([["Error"], ["[720701013] ValueError: no room"]]),
        "coze-js/cloud": saw([["Error", "Done"], ["[720701013] ValueError: no room"]]),
        "studio": saw([["Error"], ["ValueError: no room"]]),
    },
    "workflows.runs.stream.ping": {"": saw("杭州")},
    "workflows.runs.resume": {
        "": saw([2, {"booked": "yes", "nights": 2}]),
        "cozepy/studio": raises(
            _NODE_TITLE, "ValidationError", "1 validation error for WorkflowEventInterrupt"
        ),
    },
    "workflows.chat.stream": {
        "": saw(["Where to?", "go to Hangzhou"]),
        "cozepy/studio": raises(_ID_LINES, "CozeInvalidEventError", "invalid event, data: id: 1"),
    },
    "workflows.list": {
        "": saw(["locate", "book", "fail", "wait", "order"]),
        **_NOWHERE,
        "coze-js/studio": lacks("workflows.list"),
        "coze-js": lacks("workflows.list"),
    },
    "workflows.retrieve": {
        "": saw(["locate", "Find a city."]),
        "coze-js": lacks("workflows.retrieve"),
        "cozepy/studio": Told({"error": ["CozeAPIError", 777777780]}, "nowhere"),
    },
    "bots.retrieve": {
        "": saw("tea"),
        "cozepy/studio": raises(_NO_CHANNEL, "CozeAPIError", 500),
        "coze-js/studio": raises(_NO_CHANNEL, "InternalServerError", 500),
    },
    "bots.list": {"": saw(_LISTED), **_NOWHERE},
    "datasets.create": {"": saw([True, ["notes"]]), "cozepy/studio": _NULL_FAILED},
    "datasets.update": {"": saw("renamed"), "cozepy/studio": _NULL_FAILED},
    "datasets.delete": {"": saw([])},
    "datasets.documents.create": {
        "": saw([["tea.txt", "txt", 0], ["page", "", 1]]),
        **_NOWHERE,
    },
    "datasets.documents.list": {"": saw([12, 12]), **_NOWHERE},
    "datasets.documents.update": {"": saw("coffee.txt"), **_NOWHERE},
    "datasets.documents.delete": {"": saw([]), **_NOWHERE},
    "datasets.process": {"": saw([["tea.txt", 1, 100]]), **_NOWHERE},
    "workspaces.list": {"": saw([True]), **_NOWHERE},
    "users.me": {"": saw([True]), **_NOWHERE},
    "oauth.jwt": {"": saw([True]), **_NOWHERE},
    "error.4000": _refused("BadRequestError", 4000, 400, "BadRequestError"),
    "error.4015": _refused("APIError", 4015, 400, "BadRequestError"),
    "error.4100": _refused("PermissionDeniedError", 4101, 700012006),
    "error.4101": _refused("PermissionDeniedError", 4101, 4101, "PermissionDeniedError"),
    "error.4200": _refused("NotFoundError", 4200, 6031),
}


def expected(call: str, sdk: str, profile: str) -> Told:
    """What a session should tell of a call."""
    found = CALLS[call]
    return next(found[key] for key in (f"{sdk}/{profile}", sdk, profile, "") if key in found)
