"""The errors of coze.site: those that a run reports, and those of a project's routes.

The codes are not those of the Coze API (wire section 9.7). They come from a list of words in
the text of an exception, so they are hints; unknown exceptions are told apart by their class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import is_html, shorten_message
from langchain_coze._api.replies import HTTP_ERROR, collect_error_context
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeChatError,
    CozeContentError,
    CozeContextLengthError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeTimeoutError,
    CozeWorkflowError,
    bilingual_hint,
    redact,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Reply, Request


class _ErrorKind(NamedTuple):
    error: type[CozeError] | None  # None: the class for failures of the project's own code
    en: str
    zh: str


TOKEN_HINT = bilingual_hint(
    "Pass the project's API token (eyJ…) as api_key= or set COZE_SITE_TOKEN. It is made on the "
    "project's deployment page, under its API. Tokens of the Coze API (pat_…, COZE_API_TOKEN) "
    "belong to another service.",
    "请通过 api_key= 传入项目的 API Token（eyJ…），或设置 COZE_SITE_TOKEN；"
    "它在项目部署页的“API 请求示例及接口说明”中创建。扣子 API 的令牌（pat_…、COZE_API_TOKEN）"
    "属于另一项服务。",
)
ROUTE_HINT = bilingual_hint(
    "The project is older than this route, or its owner removed it: use another mode, or let the "
    "project's AI bring its code up to date and deploy it again. Or base_url is not that of the "
    "project.",
    "该项目早于此接口，或其所有者已将其移除：请使用其他模式，或让 AI 更新项目代码后重新部署；"
    "也可能是 base_url 不是该项目的地址。",
)
_ADDRESS_HINT = bilingual_hint(
    "Check base_url: it is the address on the project's deployment page "
    "(https://<name>.coze.site), and the project must be deployed.",
    "请检查 base_url：应为项目部署页上的地址（https://<名称>.coze.site），且项目已部署。",
)
_SLOW_HINT = bilingual_hint(
    "The gateway ends a request that is silent for some minutes; the run may continue. Use the "
    "mode 'stream', or 'async' for long work.",
    "网关会中断数分钟没有输出的请求，而运行可能仍在继续。请使用 'stream' 模式，"
    "耗时较长的任务请使用 'async' 模式。",
)
_PROJECT = _ErrorKind(
    None,
    "The project's own code failed: look at its log in Coze with the log id or the run id.",
    "项目自身的代码出错：请在扣子中用 log id 或 run id 查看项目日志。",
)
_WORKFLOW = _ErrorKind(
    CozeWorkflowError,
    "The workflow failed: try other parameters, or look at its log in Coze with the run id.",
    "工作流运行失败：请更换参数，或在扣子中用 run id 查看其日志。",
)
_RATE = _ErrorKind(
    CozeRateLimitError,
    "The project's model or integration is called too often: use rate_limiter= or a smaller "
    "max_concurrency.",
    "项目的模型或集成被调用过于频繁：请使用 rate_limiter= 或减小 max_concurrency。",
)
_QUOTA = _ErrorKind(
    CozeQuotaError,
    "The credits or the quota of the project's owner are used up: top up or upgrade the plan.",
    "项目所有者的资源点或额度已用尽：请充值或升级套餐。",
)
_LENGTH = _ErrorKind(
    CozeContextLengthError,
    "Shorten the messages, or choose a model with a longer context in the project.",
    "请缩短消息，或在项目中选择上下文更长的模型。",
)
_CONTENT = _ErrorKind(
    CozeContentError,
    "The project's model refuses this content: rephrase the question.",
    "项目的模型拒绝了该内容：请调整提问。",
)
_SERVER = _ErrorKind(
    CozeServerError,
    "The project could not reach its model, a service or its database: try again a little later.",
    "项目无法连接其模型、服务或数据库：请稍后重试。",
)
_TIMEOUT = _ErrorKind(
    CozeTimeoutError,
    "A run ends after 900 s: use the mode 'async' for longer work.",
    "单次运行上限为 900 秒：耗时更长的任务请使用 'async' 模式。",
)
_NO_STORAGE_HINT = bilingual_hint(
    "Asynchronous runs are stored in the project's database: it has none, or it cannot be reached. "
    "Use the mode 'stream' or 'run'.",
    "异步运行保存在项目数据库中：该项目没有数据库，或数据库无法访问。"
    "请使用 'stream' 或 'run' 模式。",
)
_CANCELED = _ErrorKind(
    None,
    "Somebody cancelled the run, or a cancelled call did.",
    "运行已被取消（由他人取消，或因调用被取消）。",
)
_BROKEN_SESSION = _ErrorKind(
    None,
    "An earlier turn left a tool call without result in the session, so the model refuses it from "
    "now on: use a new session_id.",
    "之前某一轮在会话中留下了没有结果的工具调用，模型今后都会拒绝该会话：请使用新的 session_id。",
)

_KINDS: Mapping[str, _ErrorKind] = {
    "301001": _SERVER,
    "301002": _RATE,
    "301003": _LENGTH,
    "301007": _CONTENT,
    "305004": _PROJECT,  # an invalid URL
    "305": _SERVER,
    "503002": _PROJECT,  # an invalid query
    "503": _SERVER,
    "604": _QUOTA,
    "1": _CANCELED,
    "CANCELED": _CANCELED,
    "TIMEOUT": _TIMEOUT,
    "deadline_exceeded": _TIMEOUT,
    "worker_heartbeat_lost": _SERVER,
}
"""The errors by code, or by the first three digits of a code (wire section 9.7)."""

_CLASS_KINDS: Mapping[str, _ErrorKind] = {
    "RateLimitError": _RATE,
    **dict.fromkeys(
        (
            "APIConnectionError",
            "APITimeoutError",
            "ConnectError",
            "ConnectTimeout",
            "InternalServerError",
            "ReadTimeout",
            "RemoteProtocolError",
        ),
        _SERVER,
    ),
}
"""The errors by the class of an exception that the server does not know."""

_CLASS_NAME = re.compile(r"\((\w+)\): ")
_INTERNAL = re.compile(r",?:? *(?:traceback: )?\['Traceback.*|\n.*", re.DOTALL)
_MIN_CODE = 1000  # codes have six digits; "1" is a word
_GATEWAY_TIMEOUT = 504
_HTTP_SERVER_ERROR = 500
_MISSING_ROUTE = ("Not Found", "Method Not Allowed")  # the words of FastAPI
_NO_STORAGE = "async-task storage unavailable"
_MISSING = frozenset({404, 405})
_STATUS_ERRORS: Mapping[int, tuple[type[CozeError], str | None]] = {
    401: (CozeAuthenticationError, TOKEN_HINT),
    403: (CozePermissionError, TOKEN_HINT),
    404: (CozeNotFoundError, _ADDRESS_HINT),
    405: (CozeNotFoundError, _ADDRESS_HINT),
    429: (CozeRateLimitError, bilingual_hint(_RATE.en, _RATE.zh)),
    _GATEWAY_TIMEOUT: (CozeTimeoutError, _SLOW_HINT),
}
_STATUS_OF_CODE = {4100: 401, 4101: 403, 4200: 404}
"""The HTTP statuses that the codes of a gateway stand for."""


def make_site_error(
    code: Any, message: str, *, is_workflow: bool = False, **context: Any
) -> CozeError:
    """Return the error that a run reports."""
    text = "" if code is None else str(code)
    number = int(text) if text.isdecimal() and int(text) >= _MIN_CODE else None
    kind = _KINDS.get(text) or _find_kind(text, message)
    if kind is _PROJECT and is_workflow:
        kind = _WORKFLOW
    error_class = kind.error or (CozeWorkflowError if is_workflow else CozeChatError)
    reason = text if number is None else None
    hint = bilingual_hint(kind.en, kind.zh)
    message = shorten_message(message) or f"The run ended with the code {text or 'none'}."
    return error_class(message, code=number, reason=reason or None, hint=hint, **context)


def _find_kind(code: str, message: str) -> _ErrorKind:
    """Return the error of a code that the table lacks."""
    if code.startswith("9000") or not code.isdecimal():  # an exception, told by its class
        named = _CLASS_NAME.match(message)
        name = named[1] if named else code
        if name == "BadRequestError" and "tool_call" in message:
            return _BROKEN_SESSION
        if "sensitive" in message.lower():
            return _CONTENT
        return _CLASS_KINDS.get(name, _PROJECT)
    return _KINDS.get(code[:3], _PROJECT)


def find_site_error(
    request: Request, reply: Reply, *, is_workflow: bool = False
) -> CozeError | None:
    """Return the error that a complete reply of a project reports, or None.

    The body of a successful reply is the output of the project, whatever its keys.
    """
    body = reply.json if isinstance(reply.json, Mapping) else {}
    if reply.status_code < HTTP_ERROR and body and not request.stream:
        return None
    detail = body.get("detail")
    if isinstance(detail, Mapping) and "error_code" in detail:  # a failed run
        context = {**collect_error_context(reply), "is_workflow": is_workflow}
        message = redact(str(detail.get("error_message") or ""), reply.token)
        return make_site_error(detail["error_code"], message, may_have_started=True, **context)
    return _make_http_error(request, reply, body)


def _make_http_error(request: Request, reply: Reply, body: Mapping[str, Any]) -> CozeError:
    """Return the error for a reply that holds neither a run nor its failure."""
    context = collect_error_context(reply)
    raw = redact(reply.body[:100_000].decode("utf-8", "replace"), reply.token)
    texts = (body.get(key) for key in ("detail", "msg", "message", "error", "error_msg"))
    said = next((text for text in texts if isinstance(text, str) and text), "")
    text = shorten_message(_INTERNAL.sub("", redact(said, reply.token)) or raw)
    code = body.get("code") if isinstance(body.get("code"), int) else None
    status = _STATUS_OF_CODE.get(code or 0, reply.status_code)
    if status in _MISSING and said in _MISSING_ROUTE:
        message = f"The project has no route {request.method} {request.path}."
        return CozeNotFoundError(message, code=code, hint=ROUTE_HINT, **context)
    error_class: type[CozeError]
    if status < HTTP_ERROR:
        expected = "a stream of events" if request.stream else "a JSON object"
        message = f"The project was expected to send {expected}, but sent: {text or 'nothing'}"
        error_class = CozeInvalidRequestError if reply.body else CozeServerError
        return error_class(message, code=code or None, hint=_ADDRESS_HINT, **context)
    default = CozeServerError if status >= _HTTP_SERVER_ERROR else CozeInvalidRequestError
    error_class, hint = _STATUS_ERRORS.get(status, (default, None))
    if is_html(raw) and status not in _STATUS_ERRORS:
        hint = hints.GATEWAY
    elif said.startswith(_NO_STORAGE):
        hint = _NO_STORAGE_HINT
    message = f"The project answered with HTTP {reply.status_code}: {text or 'nothing'}"
    may_have_started = status == _GATEWAY_TIMEOUT
    return error_class(message, code=code, hint=hint, may_have_started=may_have_started, **context)
