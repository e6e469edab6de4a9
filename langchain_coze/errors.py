"""The errors of langchain-coze: one class per condition, with Coze's own code, log id and a hint.

Coze reports errors as a JSON `code`, often with HTTP status 200 (wire sections 1.4, 1.5 and 7).
Every failure becomes a `CozeError`; most classes are also the matching `ModelError` of
`langchain_core.exceptions`, so that code written against LangChain's names keeps working. Permanent
errors are `ValueError`s too, because LangGraph's default retry policy does not repeat those.

Example:
    ```python
    from langchain_coze.errors import CozeError, CozeNotFoundError, error_for, is_retryable

    error = error_for(4015, "The bot is not published.", logid="0217")
    assert isinstance(error, CozeNotFoundError)
    assert isinstance(error, CozeError)
    assert not is_retryable(error)
    assert "4015" in str(error)
    ```
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core import exceptions as core
from langchain_core.exceptions import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    _RefusalError = ModelError
else:  # `ModelRefusalError` came with langchain-core 1.7.5
    _RefusalError = getattr(core, "ModelRefusalError", ModelError)

_SECRET = re.compile(r"\b(pat|sat|czu|czs|cztei)_[A-Za-z0-9._-]{4,}")
_SHORTEST_SECRET = 8  # shorter ones are words
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',;]{8,}")


def redact(text: str, *secrets: str) -> str:
    """Return `text` without anything that looks like a Coze token.

    Args:
        text: Any text, for instance what a server answered.
        *secrets: Further strings that must not appear.

    Returns:
        The text, with each token replaced by `pat_***` or `***`.

    Example:
        ```python
        from langchain_coze.errors import redact

        assert redact("token pat_abcdef123 refused") == "token pat_*** refused"
        ```
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return _BEARER.sub(r"\1 ***", _SECRET.sub(r"\1_***", text))


class ErrorResponse(NamedTuple):
    """What the server answered, kept so that traces show it (LangSmith reads `json`, `headers`).

    Attributes:
        status_code: The HTTP status.
        headers: The few headers that help support: content type, log id, retry-after.
        text: The body, at most its first 2,000 characters, without tokens.
    """

    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: If the body is not JSON.
        """
        return json.loads(self.text)


class CozeError(ModelError):
    """Anything that goes wrong between LangChain and Coze.

    Attributes:
        code: Coze's error code (int), or None when Coze gave none.
        message: What happened, in Coze's words where it gave some.
        status_code: The HTTP status, or None.
        logid: Coze's log id, which its support asks for. Also as `request_id`.
        debug_url: The page with the trace of a run, where Coze gave one.
        hint: What to do, one line in English and one in Chinese, or None.
        response: The answer as an `ErrorResponse`, or None.
        chat_id: The chat that had been started, or None when nothing had.
        conversation_id: Its conversation, or None.
        retry_after: Seconds that the server asks to wait, or None.

    Source: wire sections 1.3 to 1.5 and 7.
    """

    sent: bool = False
    """Whether the request may have reached Coze, and started something, without an answer."""

    def __init__(  # noqa: PLR0913 - each is a named attribute of the error
        self,
        message: str = "",
        *,
        code: int | None = None,
        status_code: int | None = None,
        logid: str | None = None,
        debug_url: str | None = None,
        hint: str | None = None,
        response: ErrorResponse | None = None,
        chat_id: str | None = None,
        conversation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Make the error; tokens in `message` are masked."""
        self.message = redact(message)
        super().__init__(self.message)
        self.code = code
        self.status_code = status_code
        self.logid = logid
        self.debug_url = debug_url
        self.hint = hint
        self.response = response
        self.chat_id = chat_id
        self.conversation_id = conversation_id
        self.retry_after = retry_after

    @property
    def request_id(self) -> str | None:
        """The log id under the name that LangSmith looks for."""
        return self.logid

    def __str__(self) -> str:
        """Return the message with code, log id, ids of the turn and the hint."""
        told = {
            "code": self.code,
            "HTTP": self.status_code if self.code is None else None,
            "logid": self.logid,
            "chat_id": self.chat_id,
            "conversation_id": self.conversation_id,
            "debug_url": self.debug_url,
        }
        facts = ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)
        line = f"{self.message or type(self).__name__}{f' ({facts})' if facts else ''}"
        return f"{line}\n{self.hint}" if self.hint else line

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes: the arguments are keywords."""
        return (type(self), (self.message,), self.__dict__)


class CozeAuthenticationError(CozeError, core.ModelAuthenticationError, ValueError):
    """The token is missing, wrong, expired, or of another Coze site (4100, 700012006, HTTP 401)."""


class CozePermissionError(CozeError, core.ModelPermissionDeniedError, ValueError):
    """The token may not do this (4101, HTTP 403)."""


class CozeNotFoundError(CozeError, core.ModelNotFoundError, ValueError):
    """The bot, chat or conversation does not exist or is not published (4015, 4200, HTTP 404)."""


class CozeInvalidRequestError(CozeError, core.ModelInvalidRequestError, ValueError):
    """The request cannot be right (4000 and its kin, HTTP 400), found here or by Coze."""


class CozeContextLengthError(CozeInvalidRequestError, core.ContextOverflowError):
    """The prompt is longer than the bot's model takes (4010)."""


class CozeContentError(CozeError, _RefusalError, ValueError):
    """Coze refuses the content (4014, 4102, 4105)."""


class CozeRateLimitError(CozeError, core.ModelRateLimitError):
    """Too many requests at the moment (4009, 4020, HTTP 429)."""


class CozeQuotaError(CozeError, ValueError):
    """An allowance is used up or a bill is open (4008, 4011, 4019, 4022, 4027, 4028)."""


class CozeConversationBusyError(CozeError):
    """A chat is already running in this conversation (4016)."""

    is_retryable = True


class CozeServerError(CozeError, core.ModelAPIError):
    """Coze itself failed (5000, 4013, HTTP 5xx)."""


class CozeConnectionError(CozeError, core.ModelConnectionError):
    """Coze could not be reached."""


class CozeTimeoutError(CozeError, core.ModelTimeoutError):
    """Coze took longer than `timeout` or `poll_timeout` allows."""


class CozeStreamError(CozeError, core.ModelConnectionError):
    """The stream ended before the turn did: the answer is not whole."""


class CozeChatError(CozeError):
    """The chat failed, was canceled, or expired, for a reason the code table does not know."""


class CozeRecallError(CozeError):
    """The search in the knowledge base failed (a recall with a `status_code` other than 0)."""


class _Entry(NamedTuple):
    error: type[CozeError]
    en: str
    zh: str


_PUBLISH = _Entry(
    CozeNotFoundError,
    "Publish it in Coze with the API channel ticked, wait for the review, and check the id.",
    "请在扣子中发布，并在发布渠道勾选 API，等待审核通过，同时核对 ID。",
)
_AUTH = _Entry(
    CozeAuthenticationError,
    "Check COZE_API_TOKEN, its expiry date, and its site: tokens of coze.cn work only with "
    "base_url='https://api.coze.cn', those of coze.com only with 'https://api.coze.com'.",
    "请检查 COZE_API_TOKEN 及其有效期和所属站点：coze.cn 的令牌只能配合 "
    "base_url='https://api.coze.cn'，coze.com 的只能配合 'https://api.coze.com'。",
)
_PERMISSION = _Entry(
    CozePermissionError,
    "Give the token the permissions it needs (chat, listMessage, …) for the right workspace.",
    "请为令牌勾选所需权限（chat、listMessage 等）并选择正确的工作空间。",
)
_ID = _Entry(
    CozeNotFoundError,
    "Check the id: it must belong to this site and this account.",
    "请检查 ID：必须属于当前站点和当前账号。",
)
_REQUEST = _Entry(
    CozeInvalidRequestError,
    "Check the parameters of the request against the Coze API page of this call.",
    "请对照扣子该接口的文档检查请求参数。",
)
_RATE = _Entry(
    CozeRateLimitError,
    "Slow down: use rate_limiter= or a smaller max_concurrency.",
    "请求过快：请使用 rate_limiter= 或减小 max_concurrency。",
)
_QUOTA = _Entry(
    CozeQuotaError,
    "The allowance of this account is used up: wait for the next period or upgrade the plan.",
    "账号额度已用尽：请等待下一周期或升级套餐。",
)
_BILL = _Entry(
    CozeQuotaError,
    "Top up or settle the account that pays for the model.",
    "请为支付模型费用的账号充值或结清欠费。",
)
_SERVER = _Entry(
    CozeServerError,
    "Coze had an internal error: try again a little later and give the logid to its support.",
    "扣子内部错误：请稍后重试，并向客服提供 logid。",
)
_CONTENT = _Entry(
    CozeContentError,
    "Coze refuses this content: rephrase the question.",
    "内容未通过扣子的审核：请调整提问。",
)
_UPLOAD = _Entry(
    CozeInvalidRequestError,
    "Upload exactly one file, not empty, at most 512 MB, of a type that Coze lists.",
    "每次只能上传一个文件，不能为空，不超过 512 MB，且类型受支持。",
)

_UNKNOWN = _Entry(
    CozeError,
    "This code is not listed: look at debug_url where there is one, or give the logid to Coze's "
    "support.",
    "该错误码未公开：请查看 debug_url（如有），或向扣子客服提供 logid。",
)

CODES: Mapping[int, _Entry] = {
    4000: _REQUEST,
    4001: _ID,
    4002: _ID,
    4003: _Entry(
        CozeInvalidRequestError,
        "meta_data takes at most 16 pairs, keys of 1 to 64 and values of 1 to 512 characters.",
        "meta_data 最多 16 对，键长 1 到 64，值长 1 到 512 个字符。",
    ),
    4004: _Entry(
        CozeInvalidRequestError,
        "Coze takes at most 100 messages: shorten the history, for instance with trim_messages.",
        "扣子最多接受 100 条消息：请缩短历史，例如使用 trim_messages。",
    ),
    4005: _REQUEST,
    4006: _ID,
    4007: _Entry(
        CozeInvalidRequestError,
        "Without streaming Coze must save the chat: leave auto_save_history unset.",
        "非流式请求必须保存历史：请不要设置 auto_save_history=False。",
    ),
    4008: _QUOTA,
    4009: _RATE,
    4010: _Entry(
        CozeContextLengthError,
        "Shorten the messages, or choose a model with a longer context for the bot.",
        "请缩短消息，或为智能体选择上下文更长的模型。",
    ),
    4011: _BILL,
    4012: _Entry(
        CozeInvalidRequestError,
        "Choose an available model for the bot and publish it again.",
        "请为智能体选择可用的模型并重新发布。",
    ),
    4013: _SERVER,
    4014: _CONTENT,
    4015: _PUBLISH,
    4016: _Entry(
        CozeConversationBusyError,
        "Wait until the running chat of this conversation has ended, or cancel it.",
        "该会话中还有进行中的对话：请等待其结束或先取消。",
    ),
    4019: _BILL,
    4020: _RATE,
    4021: _Entry(
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
    4104: _Entry(
        CozeInvalidRequestError,
        "Only a chat that is still running can be canceled.",
        "只有进行中的对话才能取消。",
    ),
    4105: _CONTENT,
    4200: _PUBLISH,
    4201: _REQUEST,
    4300: _UPLOAD,
    4301: _UPLOAD,
    4302: _UPLOAD,
    4303: _UPLOAD,
    4304: _UPLOAD,
    4314: _Entry(
        CozeNotFoundError,
        "No record of this run yet: ask again shortly after its start, or check the id.",
        "暂无该次运行的记录：请在启动后稍候再查，或核对 ID。",
    ),
    4315: _Entry(
        CozeInvalidRequestError,
        "This run has ended: start a new one.",
        "该次运行已结束：请重新发起。",
    ),
    5000: _SERVER,
    6003: _Entry(
        CozeInvalidRequestError,
        "Asynchronous runs need a paid plan.",
        "异步运行需要付费套餐。",
    ),
    700012006: _AUTH,
    720702204: _Entry(
        CozeInvalidRequestError,
        "The conversation name does not exist: give conversation_id or create it first.",
        "会话名不存在：请提供 conversation_id 或先创建会话。",
    ),
}
"""Coze's error codes with the class and the hint of each (wire section 7.1)."""

BUSY_CODES = frozenset({4009, 4016, 4020})
"""Codes that say "not now": Coze has started nothing, so even a POST may be repeated."""

_STATUS: Mapping[int, _Entry] = {
    400: _REQUEST,
    401: _AUTH,
    403: _PERMISSION,
    404: _Entry(
        CozeNotFoundError,
        "Check base_url: it is the address of the API (https://api.coze.cn, https://api.coze.com "
        "or your Coze Studio), without a path.",
        "请检查 base_url：应为 API 地址（https://api.coze.cn、https://api.coze.com "
        "或自建的 Coze Studio），不带路径。",
    ),
    429: _RATE,
}


def hint_of(en: str, zh: str) -> str:
    """Return the two lines of a hint, as `CozeError.hint` has them.

    Args:
        en: What to do, in English.
        zh: The same in Chinese.

    Example:
        ```python
        from langchain_coze.errors import hint_of

        assert hint_of("Wait.", "请等待。").splitlines() == ["Hint: Wait.", "提示：请等待。"]
        ```
    """
    return f"Hint: {en}\n提示：{zh}"


def error_for(
    code: int | None,
    message: str,
    *,
    status_code: int | None = None,
    default: type[CozeError] | None = None,
    **facts: Any,
) -> CozeError:
    """Return the error for a code of Coze, or for an HTTP status when there is no known code.

    Args:
        code: Coze's code, or None.
        message: Coze's message.
        status_code: The HTTP status, or None.
        default: The class for what neither table knows; `CozeError` unless given.
        **facts: Further attributes of `CozeError`: logid, response, chat_id, …

    Example:
        ```python
        from langchain_coze.errors import CozeQuotaError, error_for

        assert isinstance(error_for(4028, "quota"), CozeQuotaError)
        ```
    """
    entry = CODES.get(code) if code is not None else None
    if entry is None and status_code is not None:
        entry = _SERVER if status_code >= 500 else _STATUS.get(status_code)  # noqa: PLR2004 - HTTP
    if entry is None:
        entry = _UNKNOWN._replace(error=default or CozeError)
    hint = hint_of(entry.en, entry.zh)
    return entry.error(message, code=code, status_code=status_code, hint=hint, **facts)


def cut_error(message: str, **facts: Any) -> CozeStreamError:
    """Return the error for a stream that ended before its turn did.

    Args:
        message: What was seen.
        **facts: Further attributes of `CozeError`: logid, chat_id, …
    """
    hint = hint_of(
        "The answer is not whole. Ask again; check proxies that cut long connections.",
        "回答不完整。请重试；并检查会中断长连接的代理。",
    )
    return CozeStreamError(message, hint=hint, **facts)


def is_retryable(error: BaseException) -> bool:
    """Return whether the same call may be made again: it may succeed, and nothing had started.

    A turn that had started, or may have without our hearing of it, is not repeated: Coze would
    store the user's message twice and bill it twice.

    Args:
        error: Any exception.

    Example:
        ```python
        from langgraph.types import RetryPolicy

        from langchain_coze.errors import is_retryable

        policy = RetryPolicy(max_attempts=3, retry_on=is_retryable)
        ```
    """
    started = isinstance(error, CozeError) and (error.chat_id is not None or error.sent)
    return isinstance(error, CozeError) and error.is_retryable and not started
