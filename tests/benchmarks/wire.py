"""The bytes of one answer in four dialects: Coze, coze.site, OpenAI, Mistral.

The question itself says which answer is wanted (`ask`), so one model object, with one
warm connection, can be asked for every size and every pace. Standard library only: the
environment of the official SDK imports this module too.
"""

import itertools
import json
import re
import time
from dataclasses import dataclass
from functools import lru_cache

BOT_ID = "7374724495711502387"
TOKEN = "pat_bench"
MODES = ("burst", "paced", "slow", "gate", "recall", "silence")
CHUNKS = 3  # passages in a recall
SLOW_INTERVAL = 0.1  # seconds between two deltas in mode "slow"
PACED_INTERVAL = 0.001

_CHAT_ID = "7516861354884710427"
_CONVERSATION_ID = "7516861345346813988"
_ANSWER_ID = "7516861356495323187"
_RECALL_ID = "7516861350000000001"
_FINISH_ID = "7516861615057354778"
_TIME = 1750155668
_WORDS = (
    "扣子",
    "的",
    "智能体",
    " streams",
    " every",
    "词",
    "，",
    "R&D",
    " <b>",
    "答案",
    "。",
    "\n",
    "知识库",
    "“引用”",
    ' "raw"',
    "流式",
)
_ASK = re.compile(rb"bench-(\w+)-(\d+)-(\d+)")
_SENT = re.compile(rb"sent-(\d{19})")
_UNSENT = b"sent-" + b"0" * 19
_STREAM = re.compile(rb'"stream":\s*true')
_GO_ESCAPES = (
    ("&", "\\u0026"),
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)


@dataclass(frozen=True)
class Question:
    """What a request asks of the server."""

    mode: str
    deltas: int
    width: int
    stream: bool


@dataclass(frozen=True)
class Answer:
    """The events of one streamed answer, each the payload of one HTTP chunk."""

    prologue: tuple[bytes, ...]
    deltas: tuple[bytes, ...]
    tail: tuple[bytes, ...]

    @property
    def events(self) -> tuple[bytes, ...]:
        return self.prologue + self.deltas + self.tail


def ask(mode: str, deltas: int, width: int = 1) -> str:
    """Return the prompt for `deltas` pieces.

    Mode "gate" waits for `width` requests. Modes "recall" and "silence" send what was recalled and
    hold the answer back for `width` milliseconds: all but its first delta, or all of it.
    """
    return f"bench-{mode}-{deltas}-{width}"


def understand(body: bytes) -> Question | None:
    """Read `ask` back out of a request body of any dialect."""
    found = _ASK.search(body)
    if found is None or found[1].decode() not in MODES:
        return None
    return Question(
        mode=found[1].decode(),
        deltas=int(found[2]),
        width=int(found[3]),
        stream=_STREAM.search(body) is not None,
    )


@lru_cache(maxsize=64)
def pieces(count: int) -> tuple[str, ...]:
    """Return the text of each delta: 1 to 8 characters, as models send them."""
    return tuple(_WORDS[index % len(_WORDS)] for index in range(count))


@lru_cache(maxsize=64)
def text(count: int) -> str:
    """Return the whole answer of `count` deltas."""
    return "".join(pieces(count))


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def go_json(value: object) -> str:
    """Encode as Go does: raw non-ASCII, five characters escaped."""
    encoded = compact(value)
    for character, escape in _GO_ESCAPES:
        encoded = encoded.replace(character, escape)
    return encoded


def _coze_event(name: str, data: object) -> bytes:
    return f"event:{name}\ndata:{go_json(data)}\n\n".encode()


def _coze_chat(status: str, tokens: int, **more: object) -> dict[str, object]:
    usage = {"token_count": tokens + 20, "output_count": tokens, "input_count": 20}
    return {
        "id": _CHAT_ID,
        "conversation_id": _CONVERSATION_ID,
        "bot_id": BOT_ID,
        "created_at": _TIME,
        **more,
        "last_error": {"code": 0, "msg": ""},
        "status": status,
        "usage": usage if tokens else dict.fromkeys(usage, 0),
        "section_id": _CONVERSATION_ID,
    }


def _coze_message(kind: str, content: str, **more: object) -> dict[str, object]:
    return {
        "id": _ANSWER_ID if kind == "answer" else _FINISH_ID,
        "conversation_id": _CONVERSATION_ID,
        "bot_id": BOT_ID,
        "role": "assistant",
        "type": kind,
        "content": content,
        "content_type": "text",
        "chat_id": _CHAT_ID,
        "section_id": _CONVERSATION_ID,
        **more,
    }


def _coze(count: int) -> Answer:
    finish = {
        "msg_type": "generate_answer_finish",
        "data": go_json({"finish_reason": 0, "FinData": ""}),
        "from_module": None,
        "from_unit": None,
    }
    stamps = {"created_at": _TIME + 61, "updated_at": _TIME + 61}
    completed = "conversation.message.completed"
    return Answer(
        prologue=(
            _coze_event("conversation.chat.created", _coze_chat("created", 0)),
            _coze_event("conversation.chat.in_progress", _coze_chat("in_progress", 0)),
        ),
        deltas=tuple(
            _coze_event("conversation.message.delta", _coze_message("answer", piece))
            for piece in pieces(count)
        ),
        tail=(
            _coze_event(completed, _coze_message("answer", text(count), created_at=_TIME + 58)),
            _coze_event(completed, _coze_message("verbose", go_json(finish), **stamps)),
            _coze_event(completed, _coze_message("follow_up", "还有什么要问的？", **stamps)),
            _coze_event(
                "conversation.chat.completed",
                _coze_chat("completed", count, completed_at=_TIME + 61),
            ),
            b'event:done\ndata:"[DONE]"\n\n',
        ),
    )


def _recall(_count: int) -> Answer:
    """Return a turn's first events and its recall; nobody has sent it yet."""
    chunks = [
        {
            "slice": text(100),
            "score": 0.50244140625 - number / 1024,
            "meta": {
                "dataset": {"id": "7611703448279351315", "name": "kb"},
                "document": {
                    "id": str(7611709418610606118 + number),
                    "name": _UNSENT.decode(),
                    "format_type": 0,
                    "source_type": 1,
                },
                "link": {
                    "title": "kb_doc",
                    "url": f"https://example.com/doc?page={number}&lang=zh",
                },
                "card": {"title": "kb", "con": text(100), "index": str(number + 1)},
            },
        }
        for number in range(CHUNKS)
    ]
    payload = go_json({"chunks": chunks, "ori_req": "{}", "status_code": 0})
    content = go_json({"msg_type": "knowledge_recall", "data": payload})
    message = _coze_message("verbose", content) | {"id": _RECALL_ID, "created_at": _TIME + 1}
    return Answer(
        prologue=_coze(1).prologue,
        deltas=(_coze_event("conversation.message.completed", message),),
        tail=(),
    )


def send_now(event: bytes) -> bytes:
    """Return a recall whose documents are named after this moment, on the machine's clock."""
    return event.replace(_UNSENT, b"sent-%019d" % time.monotonic_ns())


def recalled(body: bytes) -> list[str]:
    """Return the names of the documents once a body holds the whole recall."""
    start = body.find(b"knowledge_recall")
    end = body.find(b"\n\n", start) if start >= 0 else -1
    return [name.decode() for name in re.findall(rb"sent-\d{19}", body[:end])] if end >= 0 else []


def sent_at(name: str) -> float:
    """Return when a recalled document was sent, in seconds of `time.monotonic`."""
    found = _SENT.fullmatch(name.encode())
    return int(found[1]) / 1e9 if found else float("nan")


def _choice_event(head: dict[str, object], choice: dict[str, object], **more: object) -> bytes:
    return f"data: {compact({**head, 'choices': [choice], **more})}\n\n".encode()


def _openai_head(kind: str) -> dict[str, object]:
    return {
        "id": "chatcmpl-BkQZ0mLsgIcVd3u0BxZ8q1kTtbench",
        "object": kind,
        "created": _TIME,
        "model": "gpt-4.1-mini-2025-04-14",
        "service_tier": "default",
        "system_fingerprint": "fp_62a23a81ef",
    }


def _usage(count: int) -> dict[str, object]:
    return {"prompt_tokens": 20, "completion_tokens": count, "total_tokens": count + 20}


def _openai(count: int) -> Answer:
    head = _openai_head("chat.completion.chunk")

    def event(delta: dict[str, object], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _choice_event(head, choice)

    return Answer(
        prologue=(event({"role": "assistant", "content": "", "refusal": None}),),
        deltas=tuple(event({"content": piece}) for piece in pieces(count)),
        tail=(event({}, "stop"), b"data: [DONE]\n\n"),
    )


def _mistral_head(kind: str) -> dict[str, object]:
    return {
        "id": "cmpl-e5cc70bb28c444948073e77776eb30ef",
        "object": kind,
        "created": _TIME,
        "model": "mistral-small-latest",
    }


def _mistral(count: int) -> Answer:
    head = _mistral_head("chat.completion.chunk")

    def event(delta: dict[str, object], reason: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _choice_event(head, choice, **more)

    return Answer(
        prologue=(event({"role": "assistant", "content": ""}),),
        deltas=tuple(event({"content": piece}) for piece in pieces(count)),
        tail=(event({"content": ""}, "stop", usage=_usage(count)), b"data: [DONE]\n\n"),
    )


_SITE_PARTS = (
    *("answer", "thinking", "tool_request", "tool_response"),
    *("error", "message_start", "message_end"),
)


def _site(count: int) -> Answer:
    """Return the frames of an agent at coze.site, as its Python server writes them."""
    numbers = itertools.count(1)

    def frame(kind: str, part: object, message_id: str, *, finish: bool = True) -> bytes:
        body = {
            "type": kind,
            "session_id": "5f1d0d4e-6a58-4b3c-9d58-1c3f0f6a7b21",
            "query_msg_id": "",
            "reply_id": "d5ccfb36-e56c-4f8e-b9a6-433d81fd650b",
            "msg_id": message_id,
            "sequence_id": next(numbers),
            "finish": finish,
            "content": dict.fromkeys(_SITE_PARTS) | {kind: part},
            "log_id": "20261130100000ABCDEF",
        }
        return f"event: message\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()

    answer_id = "1a61d406-f812-4e86-b4b8-9937f8701e3a"
    start_id = "53d63d2c-797d-465e-95f3-574a0346b8cd"
    end_id = "6b2a06ec-320d-4f7a-97f4-8f1221b3ccdd"
    run_id = "7ddf5409-0ddb-4cb3-af01-25f3533792da"
    start = {"local_msg_id": "", "msg_id": "", "execute_id": run_id}
    cost = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
    end = {"code": "0", "message": "", "token_cost": cost, "time_cost_ms": 61000}
    return Answer(
        prologue=(frame("message_start", start, start_id),),
        deltas=tuple(frame("answer", piece, answer_id, finish=False) for piece in pieces(count)),
        tail=(frame("answer", "", answer_id), frame("message_end", end, end_id)),
    )


_DIALECTS = {
    "coze": _coze,
    "recall": _recall,
    "site": _site,
    "openai": _openai,
    "mistral": _mistral,
}


@lru_cache(maxsize=64)
def answer(dialect: str, count: int) -> Answer:
    """Return the stream of `count` deltas in one of the `_DIALECTS`."""
    return _DIALECTS[dialect](count)


@lru_cache(maxsize=64)
def whole(dialect: str, count: int) -> bytes:
    """Return the same answer as the one JSON body that openai and mistral give."""
    head = (_openai_head if dialect == "openai" else _mistral_head)("chat.completion")
    message: dict[str, object] = {"role": "assistant", "content": text(count)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return compact({**head, "choices": [choice], "usage": _usage(count)}).encode()


def refusal(message: str) -> bytes:
    """Return the JSON of a failure as Coze words it."""
    return go_json({"code": 5000, "msg": message}).encode()


@lru_cache(maxsize=64)
def stream_bytes(dialect: str, count: int) -> bytes:
    """Return all events joined: what a reader that parses nothing must have received."""
    return b"".join(answer(dialect, count).events)
