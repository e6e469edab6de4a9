"""Coze's error codes: their exception classes and hints, and functions that build the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze.errors import (
    CozeAuthenticationError,
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
    4008: _QUOTA,
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
    4104: _CodeInfo(
        CozeInvalidRequestError,
        "Only a chat that is still running can be canceled.",
        "只有进行中的对话才能取消。",
    ),
    4105: _CONTENT,
    4200: _PUBLISH,
    6031: _PUBLISH,  # Coze Studio
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
        "This run has ended: start a new one.",
        "该次运行已结束：请重新发起。",
    ),
    5000: _SERVER,
    6003: _CodeInfo(
        CozeInvalidRequestError,
        "Asynchronous runs need a paid plan.",
        "异步运行需要付费套餐。",
    ),
    700012006: _AUTH,
    720702204: _CodeInfo(
        CozeInvalidRequestError,
        "The conversation name does not exist: give conversation_id or create it first.",
        "会话名不存在：请提供 conversation_id 或先创建会话。",
    ),
}
"""The exception class and hint of each of Coze's error codes (wire section 7.1)."""

BUSY_CODES = frozenset({4009, 4016, 4020})
"""Codes that mean "busy": Coze has started nothing, so even a POST may be retried."""

_STATUS: Mapping[int, _CodeInfo] = {
    400: _REQUEST,
    401: _AUTH,
    403: _PERMISSION,
    404: _CodeInfo(
        CozeNotFoundError,
        "Check base_url: it is the address of the API (https://api.coze.cn, https://api.coze.com "
        "or your Coze Studio), without a path.",
        "请检查 base_url：应为 API 地址（https://api.coze.cn、https://api.coze.com "
        "或自建的 Coze Studio），不带路径。",
    ),
    413: _UPLOAD,
    429: _RATE,
}


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
    entry = CODES.get(code) if code is not None else None
    if entry is None and status_code is not None:
        entry = _SERVER if status_code >= 500 else _STATUS.get(status_code)  # noqa: PLR2004 - HTTP
    if entry is None:
        entry = (_NO_CODE if code is None else _UNKNOWN)._replace(error=default or CozeError)
    hint = bilingual_hint(entry.en, entry.zh)
    return entry.error(message, code=code, status_code=status_code, hint=hint, **context)


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
    error = CozeStreamError(message, hint=hint, **context)
    error.may_have_started = True
    return error


def make_deadline_error(*, may_have_started: bool = False) -> CozeTimeoutError:
    """Return the error for a call that took longer than `max_duration`.

    Args:
        may_have_started: Whether the request may have started something.
    """
    hint = bilingual_hint(
        "Raise max_duration, or look in Coze at what takes so long.",
        "请调大 max_duration，或在扣子中查看耗时原因。",
    )
    error = CozeTimeoutError("The call took longer than max_duration allows.", hint=hint)
    error.may_have_started = may_have_started
    return error
