"""Coze's error codes: their exception classes and hints, and functions that build the errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeChatError,
    CozeContentError,
    CozeContextLengthError,
    CozeConversationBusyError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
    bilingual_hint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class _CodeInfo(NamedTuple):
    error: type[CozeError]
    en: str
    zh: str


_PUBLISH = _CodeInfo(
    CozeNotFoundError,
    "Publish it in Coze with the API channel ticked, wait for the review, and check the id.",
    "请在扣子中发布，并在发布渠道勾选 API，等待审核通过，同时核对 ID。",
)
_NOT_FOUND = _CodeInfo(
    CozeNotFoundError,
    "Publish it in Coze with the API channel ticked, and check the id and the site: what was made "
    "on coze.cn exists only at base_url='https://api.coze.cn', what was made on coze.com only at "
    "'https://api.coze.com'.",
    "请在扣子中发布，并在发布渠道勾选 API，同时核对 ID 和站点：在 coze.cn 创建的资源只能通过 "
    "base_url='https://api.coze.cn' 访问，在 coze.com 创建的只能通过 'https://api.coze.com' 访问。",
)
_AUTH = _CodeInfo(
    CozeAuthenticationError,
    "Check COZE_API_TOKEN, its expiry date, and its site: tokens of coze.cn work only with "
    "base_url='https://api.coze.cn', those of coze.com only with 'https://api.coze.com'.",
    "请检查 COZE_API_TOKEN 及其有效期和所属站点：coze.cn 的令牌只能配合 "
    "base_url='https://api.coze.cn'，coze.com 的只能配合 'https://api.coze.com'。",
)
_PERMISSION = _CodeInfo(
    CozePermissionError,
    "Give the token the permissions it needs (chat, listMessage, …) for the right workspace.",
    "请为令牌勾选所需权限（chat、listMessage 等）并选择正确的工作空间。",
)
_ID = _CodeInfo(
    CozeNotFoundError,
    "Check the id: it must belong to this site and this account.",
    "请检查 ID：必须属于当前站点和当前账号。",
)
_REQUEST = _CodeInfo(
    CozeInvalidRequestError,
    "Check the parameters of the request against the Coze API page of this call.",
    "请对照扣子该接口的文档检查请求参数。",
)
_RATE = _CodeInfo(
    CozeRateLimitError,
    "Slow down: use rate_limiter= or a smaller max_concurrency.",
    "请求过快：请使用 rate_limiter= 或减小 max_concurrency。",
)
_QUOTA = _CodeInfo(
    CozeQuotaError,
    "The allowance of this account is used up: wait for the next period or upgrade the plan.",
    "账号额度已用尽：请等待下一周期或升级套餐。",
)
_DAILY_OR_RATE = _CodeInfo(
    CozeRateLimitError,
    "Either the requests come too fast (use rate_limiter= or a smaller max_concurrency), or the "
    "daily limit of the bot is used up (try again tomorrow or upgrade the plan).",
    "可能是请求过快（请使用 rate_limiter= 或减小 max_concurrency），"
    "也可能是智能体当日额度已用尽（请明天再试或升级套餐）。",
)
_BILL = _CodeInfo(
    CozeQuotaError,
    "Top up or settle the account that pays for the model.",
    "请为支付模型费用的账号充值或结清欠费。",
)
_SERVER = _CodeInfo(
    CozeServerError,
    "Coze had an internal error: try again a little later and give the logid to its support.",
    "扣子内部错误：请稍后重试，并向客服提供 logid。",
)
_CONTENT = _CodeInfo(
    CozeContentError,
    "Coze refuses this content: rephrase the question.",
    "内容未通过扣子的审核：请调整提问。",
)
_UPLOAD = _CodeInfo(
    CozeInvalidRequestError,
    "Upload exactly one file, not empty, at most 512 MB, of a type that Coze lists.",
    "每次只能上传一个文件，不能为空，不超过 512 MB，且类型受支持。",
)

_NOT_RUNNING = _CodeInfo(
    CozeInvalidRequestError,
    "Only a chat that is still running can be canceled.",
    "只有进行中的对话才能取消。",
)
_GATEWAY = _CodeInfo(
    CozeServerError,
    "A gateway or proxy on the way answered, not Coze: try again a little later, and check the "
    "proxy settings and the gateway.",
    "响应来自中间的网关或代理，而不是扣子：请稍后重试，并检查代理设置和网关。",
)
_TOO_LARGE = _CodeInfo(
    CozeInvalidRequestError,
    "Coze takes request bodies of up to 15 MB (20 MB for workflows) and uploads of up to 512 MB; a "
    "gateway may take less. Send files as uploads or links, and shorten the messages.",
    "扣子的请求体上限为 15 MB（工作流为 20 MB），上传文件上限为 512 MB，网关的限制可能更小。"
    "请以上传或链接方式发送文件，并缩短消息。",
)
GATEWAY_HINT = bilingual_hint(_GATEWAY.en, _GATEWAY.zh)
"""The hint for a reply that comes from a gateway or proxy, not from Coze."""

_WRONG_URL = _CodeInfo(
    CozeNotFoundError,
    "Check base_url: it is the address of the API (https://api.coze.cn, https://api.coze.com "
    "or your Coze Studio), without a path.",
    "请检查 base_url：应为 API 地址（https://api.coze.cn、https://api.coze.com "
    "或自建的 Coze Studio），不带路径。",
)
_NO_ROUTE = _CodeInfo(
    CozeNotFoundError,
    "This server has no such route: self-hosted Coze Studio offers fewer calls than coze.cn and "
    "coze.com. Check base_url if it should be one of those.",
    "该服务没有此接口：自建的 Coze Studio 提供的接口少于 coze.cn 和 coze.com。"
    "如应连接后者，请检查 base_url。",
)
_CRASHED = _CodeInfo(
    CozeServerError,
    "The server crashed on this request: check that all ids are numbers, and report it with the "
    "logid.",
    "服务处理该请求时崩溃：请确认所有 ID 均为数字，并附上 logid 反馈。",
)
_ALREADY_RESUMED = _CodeInfo(
    CozeInvalidRequestError,
    "The run no longer waits for this answer: it has already continued with another one. Look at "
    "its result; do not start it again.",
    "该次运行已不再等待此回答：它已收到其他回答并继续执行。请查看其结果，不要重新发起。",
)
_NO_CONVERSATION = _CodeInfo(
    CozeInvalidRequestError,
    "On Coze Studio a chatflow needs a conversation: name one with "
    "parameters={'CONVERSATION_NAME': …}, or use bot_id= with conversation='thread'.",
    "在 Coze Studio 中，对话流必须有会话：请用 parameters={'CONVERSATION_NAME': …} 指定会话名，"
    "或使用 bot_id= 和 conversation='thread'。",
)
_UNKNOWN = _CodeInfo(
    CozeError,
    "This code is not listed: look at debug_url where there is one, or give the logid to Coze's "
    "support.",
    "该错误码未公开：请查看 debug_url（如有），或向扣子客服提供 logid。",
)

_NO_CODE = _CodeInfo(
    CozeError,
    "Coze told no code: try again, look at debug_url where there is one, or give the logid to its "
    "support.",
    "扣子未返回错误码：请重试，查看 debug_url（如有），或向扣子客服提供 logid。",
)

CODES: Mapping[int, _CodeInfo] = {
    4000: _REQUEST,
    4001: _ID,
    4002: _ID,
    4003: _CodeInfo(
        CozeInvalidRequestError,
        "meta_data takes at most 16 pairs, keys of 1 to 64 and values of 1 to 512 characters.",
        "meta_data 最多 16 对，键长 1 到 64，值长 1 到 512 个字符。",
    ),
    4004: _CodeInfo(
        CozeInvalidRequestError,
        "Coze takes at most 100 messages: shorten the history, for instance with trim_messages.",
        "扣子最多接受 100 条消息：请缩短历史，例如使用 trim_messages。",
    ),
    4005: _REQUEST,
    4006: _ID,
    4007: _CodeInfo(
        CozeInvalidRequestError,
        "Without streaming Coze must save the chat: leave auto_save_history unset.",
        "非流式请求必须保存历史：请不要设置 auto_save_history=False。",
    ),
    4008: _DAILY_OR_RATE,
    4009: _RATE,
    4010: _CodeInfo(
        CozeContextLengthError,
        "Shorten the messages, or choose a model with a longer context for the bot.",
        "请缩短消息，或为智能体选择上下文更长的模型。",
    ),
    4011: _BILL,
    4012: _CodeInfo(
        CozeInvalidRequestError,
        "Choose an available model for the bot and publish it again.",
        "请为智能体选择可用的模型并重新发布。",
    ),
    4013: _SERVER,
    4014: _CONTENT,
    4015: _PUBLISH,
    4016: _CodeInfo(
        CozeConversationBusyError,
        "Wait until the running chat of this conversation has ended, or cancel it.",
        "该会话中还有进行中的对话：请等待其结束或先取消。",
    ),
    4019: _BILL,
    4020: _RATE,
    4021: _CodeInfo(
        CozeInvalidRequestError,
        "Configure a workflow for this bot in Coze and publish it again.",
        "请在扣子中为智能体配置工作流并重新发布。",
    ),
    4022: _BILL,
    4027: _QUOTA,
    4028: _QUOTA,
    4100: _AUTH,
    4101: _PERMISSION,
    4102: _CONTENT,
    4104: _NOT_RUNNING,
    4105: _CONTENT,
    4200: _NOT_FOUND,
    4201: _REQUEST,
    4300: _UPLOAD,
    4301: _UPLOAD,
    4302: _UPLOAD,
    4303: _UPLOAD,
    4304: _UPLOAD,
    4314: _CodeInfo(
        CozeNotFoundError,
        "No record of this run yet: ask again shortly after its start, or check the id.",
        "暂无该次运行的记录：请在启动后稍候再查，或核对 ID。",
    ),
    4315: _CodeInfo(
        CozeInvalidRequestError,
        "This run has ended and takes no answer: look at its result in Coze.",
        "该次运行已结束，不再接受回答：请在扣子中查看其结果。",
    ),
    5000: _SERVER,
    6003: _CodeInfo(
        CozeInvalidRequestError,
        "Asynchronous runs need a paid plan.",
        "异步运行需要付费套餐。",
    ),
    6031: _PUBLISH,  # from here on also codes of Coze Studio (wire section 8)
    6039: _CodeInfo(
        CozeInvalidRequestError,
        "The workflow asks its user something, which a synchronous run cannot: use "
        "run_mode='stream' (or 'auto').",
        "该工作流会向用户提问，同步运行不支持：请使用 run_mode='stream'（或 'auto'）。",
    ),
    100000000: _PUBLISH,
    103000001: _PERMISSION,
    103000002: _ID,
    103200002: _CodeInfo(
        CozeChatError,
        "A step of the agent failed, often its model or a plugin: test the agent in Coze Studio "
        "and look at the log of the server.",
        "智能体的某个步骤失败（常见于模型或插件）：请在 Coze Studio 中测试该智能体并查看服务日志。",
    ),
    103200005: _NOT_RUNNING,
    700012006: _AUTH,
    720702004: _ID,
    720702011: _PUBLISH,
    720702204: _CodeInfo(
        CozeInvalidRequestError,
        "The conversation name does not exist: give conversation_id or create it first.",
        "会话名不存在：请提供 conversation_id 或先创建会话。",
    ),
}
"""The exception class and hint of each of Coze's error codes (wire section 7.1)."""

_MISSING_ROUTE = "missing session_key in cookie"  # what Coze Studio answers instead of 404

_ENTRIES_BY_TEXT: tuple[tuple[int | None, str, _CodeInfo], ...] = (
    (4101, "token you entered is incorrect", _AUTH),
    (401, _MISSING_ROUTE, _NO_ROUTE),
    (777777775, "conversation name", _NO_CONVERSATION),
    (777777775, "conversation", _ID),
    (None, "does not have access to", _PERMISSION),
    (None, "panic error:", _CRASHED),
    (None, "is not interrupted", _ALREADY_RESUMED),
)
"""Codes with several meanings, which only their text tells apart: code (None: any), text, entry."""

NOT_FOUND_STATUSES = frozenset({404, 405})
"""The HTTP statuses of a server that does not have an endpoint."""

BUSY_CODES = frozenset({4009, 4016, 4020})
"""Codes that mean "busy": Coze has started nothing, so even a POST may be retried."""

_STATUS: Mapping[int, _CodeInfo] = {
    400: _REQUEST,
    401: _AUTH,
    403: _PERMISSION,
    404: _WRONG_URL,
    405: _WRONG_URL,
    413: _TOO_LARGE,
    429: _RATE,
    502: _GATEWAY,
    503: _GATEWAY,
    504: _GATEWAY,
}
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500
_BAD_REQUEST = 4000
_INTERNAL = 5000
_STUDIO_ERROR = re.compile(r"code=(\d+) message=(.*)", re.DOTALL)
_NODE_ERROR = re.compile(r"\[(\d{5,})\]\s*(.+)", re.DOTALL)
_STACK = re.compile(r",?\s*\n(?:stack|cause|goroutine)\b.*", re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_MAX_MESSAGE = 500


def make_error(
    code: int | None,
    message: str,
    *,
    status_code: int | None = None,
    default: type[CozeError] | None = None,
    **context: Any,
) -> CozeError:
    """Return the error for a Coze code, or for an HTTP status if the code is unknown.

    Args:
        code: Coze's code, or None.
        message: Coze's message.
        status_code: The HTTP status, or None.
        default: The class if both code and status are unknown; defaults to `CozeError`.
        **context: Other attributes of `CozeError`: logid, response, chat_id, …
    """
    code, message = _read_inner_error(code, message)
    entry = _find_entry(code, message, status_code)
    if entry is None:
        entry = (_NO_CODE if code is None else _UNKNOWN)._replace(error=default or CozeError)
    hint = bilingual_hint(entry.en, entry.zh)
    return entry.error(message, code=code, status_code=status_code, hint=hint, **context)


def _read_inner_error(code: int | None, message: str) -> tuple[int | None, str]:
    r"""Return the code and text that a message wraps, without the stack of the server.

    Studio writes `code=N message=TEXT\nstack=…`; a failed node is 5000 with `[N] TEXT`.
    """
    wrapped = _STUDIO_ERROR.match(message)
    if wrapped is None and code == _INTERNAL:
        wrapped = _NODE_ERROR.match(message)
    if wrapped is not None:
        code, message = int(wrapped[1]), wrapped[2]
    return code, shorten_message(message)


def shorten_message(message: str) -> str:
    """Return a server's message without stack trace or HTML, at most 500 characters.

    Args:
        message: The message; tokens must have been masked before.
    """
    text = _STACK.sub("", message).strip()
    if is_html(text):
        text = " ".join(_TAG.sub(" ", text).split())
    if len(text) > _MAX_MESSAGE:
        text = text.partition("\n")[0]
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def is_html(text: str) -> bool:
    """Return whether a text is an HTML page, which Coze never answers with."""
    return text[:200].lstrip().lower().startswith(("<!doctype", "<html"))


def _find_entry(code: int | None, message: str, status_code: int | None) -> _CodeInfo | None:
    """Return the entry of an error; None if neither code, nor text, nor HTTP status is known."""
    if status_code == _HTTP_TOO_MANY_REQUESTS:
        return _RATE  # whatever the code: nothing was started
    for known_code, text, entry in _ENTRIES_BY_TEXT:
        if known_code in {None, code} and text in message:
            return entry
    if status_code in NOT_FOUND_STATUSES and code == _BAD_REQUEST:
        return _WRONG_URL
    if code is not None and code in CODES:
        return CODES[code]
    if status_code is None:
        return None
    fallback = _SERVER if status_code >= _HTTP_SERVER_ERROR else None
    return _STATUS.get(status_code, fallback)


def is_listed(error: CozeError) -> bool:
    """Return whether the code or the text of an error has an entry with its own hint."""
    return _find_entry(error.code, error.message, None) is not None


def is_missing_route(error: CozeError) -> bool:
    """Return whether a server does not have an endpoint (wire sections 1.5 and 8).

    Coze Studio says so with HTTP 401, which is not about the token.
    """
    if error.status_code in NOT_FOUND_STATUSES:
        return error.code in {None, _BAD_REQUEST, *NOT_FOUND_STATUSES}
    return is_studio_missing_route(error)


def is_studio_missing_route(error: CozeError) -> bool:
    """Return whether Coze Studio says that it does not have an endpoint."""
    return _MISSING_ROUTE in error.message


def make_truncated_error(message: str, **context: Any) -> CozeStreamError:
    """Return the error for a stream that ended before its turn or run did.

    Args:
        message: The error message.
        **context: Other attributes of `CozeError`: logid, chat_id, …
    """
    hint = bilingual_hint(
        "The answer is not whole. Ask again; check proxies that cut long connections.",
        "回答不完整。请重试；并检查会中断长连接的代理。",
    )
    return CozeStreamError(message, hint=hint, may_have_started=True, **context)


def make_deadline_error(*, may_have_started: bool = False) -> CozeTimeoutError:
    """Return the error for a call that took longer than `max_duration`.

    Args:
        may_have_started: Whether the request may have started something.
    """
    hint = bilingual_hint(
        "Raise max_duration, or look in Coze at what takes so long.",
        "请调大 max_duration，或在扣子中查看耗时原因。",
    )
    message = "The call took longer than max_duration allows."
    return CozeTimeoutError(message, hint=hint, may_have_started=may_have_started)
