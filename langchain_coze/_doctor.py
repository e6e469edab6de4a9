"""`doctor`: checks of the account, the network and what is published, one line for each."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from langchain_coze import _doctor_hints as doctor_hints
from langchain_coze import _hints as hints
from langchain_coze import _site_hints as site_hints
from langchain_coze._api.accounts import fetch_bot, fetch_user, list_workspaces
from langchain_coze._api.error_codes import is_missing_route
from langchain_coze._api.ids import validate_ids
from langchain_coze._api.proxies import (
    describe_client_proxy,
    find_proxy,
    format_proxy,
    require_usable,
)
from langchain_coze._api.replies import parse_date
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._api.site import SiteOptions, fetch_schemas
from langchain_coze._api.workflows import fetch_workflow_info, is_unsupported
from langchain_coze._base.connection import CozeConnectionFields
from langchain_coze._base.site import SiteFields
from langchain_coze._doctor_report import DoctorCheck, DoctorReport, Language, Status, choose
from langchain_coze._environment import is_coze_host, is_loopback
from langchain_coze.chat_models import ChatCoze
from langchain_coze.coze_site import ChatCozeSite
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeTimeoutError,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow, Reply

_TIMEOUT = 20.0  # seconds without a byte
_MAX_CLOCK_SKEW = 30.0  # seconds
_MAX_NAMES = 10
_MAX_TEXT = 60
_POLICY = RetryPolicy(max_retries=1)
_GATEWAY_STATUSES = frozenset({502, 503, 504})
_SETTINGS = {"base_url": "base_url= / COZE_API_BASE", "site": "--site / COZE_SITE_BASE"}
_TEXTS: Mapping[type[CozeError], str] = {
    CozeAuthenticationError: doctor_hints.AUTHENTICATION,
    CozePermissionError: doctor_hints.PERMISSION,
    CozeNotFoundError: doctor_hints.NOT_FOUND,
    CozeInvalidRequestError: doctor_hints.INVALID_REQUEST,
    CozeRateLimitError: doctor_hints.RATE,
    CozeQuotaError: doctor_hints.QUOTA,
    CozeServerError: doctor_hints.SERVER,
    CozeConnectionError: doctor_hints.CONNECTION,
    CozeTimeoutError: doctor_hints.TIMEOUT,
    CozeError: doctor_hints.FAILED,
}


def doctor(
    *,
    bot_id: str | None = None,
    workflow_id: str | None = None,
    site: str | None = None,
    chat: bool = False,
    lang: Language | None = None,
    **fields: Any,
) -> DoctorReport:
    """Check the account, the network and what is published. Without `chat`, nothing costs money.

    Args:
        bot_id: A bot that should be published to the API. Env `COZE_BOT_ID`.
        workflow_id: A workflow that should be visible. Env `COZE_WORKFLOW_ID`.
        site: The address of a coze.site project. Env `COZE_SITE_BASE`, its token
            `COZE_SITE_TOKEN`.
        chat: Whether to ask the bot, or the agent of the site, a question, which is billed.
        lang: `"en"` or `"zh"`; by default the language of the system.
        **fields: How to reach the Coze API: `api_key`, `base_url`, `server`, `default_headers`,
            `timeout` and the other connection fields of `ChatCoze`.

    Returns:
        A `DoctorReport`: print it, or use its `ok` and `checks`. It never contains a token.

    Raises:
        CozeInvalidRequestError: `lang` is another language. Any other failure is in the report.

    Example:
        ```python
        from langchain_coze import doctor
        from langchain_coze.local import LocalCoze

        with LocalCoze() as coze:
            bot_id = coze.bots[0].bot_id
            report = doctor(bot_id=bot_id, api_key=coze.token, base_url=coze.base_url, lang="en")
        print(report)
        assert report.ok
        ```
    """
    if lang not in {None, "en", "zh"}:
        raise CozeInvalidRequestError(f"lang is {lang!r}.", hint=doctor_hints.LANGUAGE)
    examination = _Examination(
        lang=lang or _find_language(),
        bot_id=str(bot_id or os.environ.get("COZE_BOT_ID") or ""),
        workflow_id=str(workflow_id or os.environ.get("COZE_WORKFLOW_ID") or ""),
        site=site or os.environ.get("COZE_SITE_BASE") or "",
        chat=chat,
        fields={"timeout": _TIMEOUT, "max_retries": 1, **fields},
    )
    examination.run()
    return DoctorReport(tuple(examination.checks), examination.lang)


@dataclass(kw_only=True)
class _Examination:
    """The checks of one call, and what they need."""

    lang: Language
    bot_id: str
    workflow_id: str
    site: str
    chat: bool
    fields: Mapping[str, Any]
    checks: list[DoctorCheck] = field(default_factory=list)
    has_asked: bool = False  # the question of `chat`

    def run(self) -> None:
        """Make the checks."""
        has_token = any(os.environ.get(n) for n in ("COZE_API_TOKEN", "COZE_API_KEY"))
        has_token = has_token or any(self.fields.get(n) for n in ("api_key", "coze_api_key"))
        if has_token or self.bot_id or self.workflow_id or not self.site:
            self._check_api()
        if self.site:
            self._check_site()
        elif not self.bot_id:
            self._report_nobody()

    # --- The Coze API ----------------------------------------------------------------------------

    def _check_api(self) -> None:
        try:
            connection = CozeConnectionFields(**self.fields)
        except (ImportError, ValueError) as error:
            self._report_invalid("server", error)
            return
        self._check_address(connection.base_url, connection._is_studio)  # noqa: SLF001 - our own
        client = self.fields.get("http_client")
        if not self._check_proxy(connection.base_url, client) or not self._check_token(connection):
            return
        driver = connection._make_driver()  # noqa: SLF001 - our own
        self._attempt("workspaces", lambda: self._check_workspaces(driver))
        has_bot = bool(self.bot_id) and self._attempt("bot", lambda: self._check_bot(driver))
        if self.workflow_id:
            self._attempt("workflow", lambda: self._check_workflow(driver))
        if self.chat and has_bot:
            self.has_asked = True
            fields = {"bot_id": self.bot_id, **self.fields}
            self._attempt("chat", lambda: self._check_answer(ChatCoze(**fields)))

    def _check_address(self, base_url: str, is_studio: bool) -> None:  # noqa: FBT001 - of one caller
        host = urlsplit(base_url).hostname or ""
        if is_studio:
            kind = self._translate(doctor_hints.STUDIO)
        elif is_coze_host(host):
            kind = ".".join(host.split(".")[-2:])
        else:
            texts = doctor_hints.LOCAL if is_loopback(host) else doctor_hints.GATEWAY
            kind = self._translate(texts)
        self._report("server", "ok", f"{base_url} ({kind})")

    def _check_proxy(self, base_url: str, client: Any = None) -> bool:
        """Check the proxy; return whether requests can be sent."""
        proxy = find_proxy(base_url)
        if client is not None:
            text = describe_client_proxy(client, base_url)
            text = self._translate(doctor_hints.CLIENT_PROXY, text=text)
        elif proxy is None:
            text = self._translate(doctor_hints.NONE)
        else:
            try:
                require_usable(proxy)
            except CozeError as error:
                self._report_error("proxy", error)
                return False
            text = f"{format_proxy(proxy.url)} ({proxy.source})"
        self._report("proxy", "ok", text)
        return True

    def _check_token(self, connection: CozeConnectionFields) -> bool:
        """Check the token and the clock; return whether the other checks make sense."""
        token = connection.api_key
        if token is None:
            text = self._translate(doctor_hints.UNSET)
            self._report("token", "problem", text, hints.NO_API_KEY)
            return False
        if isinstance(token, SecretStr) and token.get_secret_value().startswith("eyJ"):
            text = self._translate(doctor_hints.PROJECT_KEY)
            self._report("token", "problem", text, doctor_hints.MOVE_PROJECT_KEY)
            return False
        try:
            driver = connection._make_driver()  # noqa: SLF001 - our own
            driver.token_source.get()
        except Exception as error:  # noqa: BLE001 - also what the user's function raises
            self._report_error("token", error)
            return False
        try:
            reply, name = driver.run(_verify_token(self.bot_id or "1"))
        except CozeAuthenticationError as error:
            self._report_error("token", error)
            return False
        except Exception as error:  # noqa: BLE001 - also what the user's functions raise
            # It says nothing of the token.
            server = self.checks.pop(0).message
            self._report_error("server", error, f"{server}{self._colon}")
            self.checks.insert(0, self.checks.pop())
            return False
        user = self._translate(doctor_hints.USER, name=name) if name else ""
        self._report("token", "ok", self._translate(doctor_hints.ACCEPTED, user=user))
        self._check_clock(reply)
        return True

    def _check_clock(self, reply: Reply | None) -> None:
        date = parse_date(reply.headers.get("date")) if reply is not None else None
        if date is None:
            return
        ahead = time.time() - date
        seconds = f"{abs(ahead):.0f}"
        if abs(ahead) <= _MAX_CLOCK_SKEW:
            self._report("clock", "ok", self._translate(doctor_hints.CLOCK, seconds=seconds))
            return
        text = doctor_hints.CLOCK_AHEAD if ahead > 0 else doctor_hints.CLOCK_BEHIND
        text = self._translate(text, seconds=seconds)
        self._report("clock", "problem", text, doctor_hints.SET_CLOCK)

    def _check_workspaces(self, driver: Driver) -> None:
        try:
            workspaces = driver.run(list_workspaces(_POLICY))
        except CozeError as error:
            if not is_missing_route(error):
                raise
            self._report("workspaces", "unknown", self._translate(doctor_hints.WORKSPACES_UNKNOWN))
            return
        if not workspaces:
            text = self._translate(doctor_hints.NO_WORKSPACES)
            self._report("workspaces", "problem", text, doctor_hints.GRANT_WORKSPACE)
            return
        names = self._join(f"{w.get('name')} ({w.get('id')})" for w in workspaces)
        text = self._translate(doctor_hints.WORKSPACES, count=len(workspaces), names=names)
        self._report("workspaces", "ok", text)

    def _check_bot(self, driver: Driver) -> None:
        validate_ids(bot_id=self.bot_id)
        bot = driver.run(fetch_bot(self.bot_id, _POLICY))
        knowledge = bot.get("knowledge")
        bases = knowledge.get("knowledge_infos") if isinstance(knowledge, dict) else ()
        text = self._translate(
            doctor_hints.BOT,
            id=self.bot_id,
            name=bot.get("name"),
            knowledge=self._list_names(bases),
            plugins=self._list_names(bot.get("plugin_info_list")),
            workflows=self._list_names(bot.get("workflow_info_list")),
        )
        self._report("bot", "ok", text)

    def _check_workflow(self, driver: Driver) -> None:
        validate_ids(workflow_id=self.workflow_id)
        try:
            info = driver.run(fetch_workflow_info(self.workflow_id, _POLICY))
        except CozeError as error:
            if not is_unsupported(error):
                raise
            info = {}
        detail, inputs = info.get("workflow_detail"), info.get("input")
        if not isinstance(detail, dict):
            text = self._translate(doctor_hints.WORKFLOW_UNKNOWN, id=self.workflow_id)
            self._report("workflow", "unknown", text)
            return
        parameters = inputs.get("parameters") if isinstance(inputs, dict) else {}
        required = [k for k, v in (parameters or {}).items() if v.get("required")]
        text = self._translate(
            doctor_hints.WORKFLOW,
            id=self.workflow_id,
            name=detail.get("workflow_name"),
            inputs=self._list_inputs(parameters or {}, required),
        )
        self._report("workflow", "ok", text)

    def _check_answer(self, model: Any) -> None:
        text = " ".join(model.invoke("Hi").text.split())
        self._report("chat", "ok", self._translate(doctor_hints.CHAT, text=_shorten(text)))

    # --- coze.site -------------------------------------------------------------------------------

    def _check_site(self) -> None:
        options = {k: v for k, v in self.fields.items() if k in {"timeout", "max_retries"}}
        try:
            project = SiteFields(base_url=self.site, **options)
        except ValueError as error:
            self._report_invalid("site", error)
            return
        if not self._check_proxy(project.base_url):
            return
        if project.api_key is None:
            text = self._translate(doctor_hints.UNSET_FOR_SITE)
            self._report("site", "problem", text, site_hints.AUTHENTICATION)
            return
        self._attempt("site", lambda: self._check_project(project))

    def _check_project(self, project: SiteFields) -> None:
        options = SiteOptions(mode="run", **project._collect_site_options())  # noqa: SLF001 - our own
        schemas = project._make_driver().run(fetch_schemas(options))  # noqa: SLF001 - our own
        inputs = schemas.get("input_schema")
        if isinstance(inputs, dict) and inputs.get("properties"):
            names = self._list_inputs(inputs["properties"], inputs.get("required") or [])
            text = self._translate(
                doctor_hints.SITE_WORKFLOW, address=project.base_url, inputs=names
            )
            self._report("site", "ok", text)
            if not self.bot_id:
                self._report_nobody()
            return
        text = self._translate(doctor_hints.SITE_AGENT, address=project.base_url)
        self._report("site", "ok", text)
        if self.chat and not self.has_asked:
            self.has_asked = True
            agent = ChatCozeSite(base_url=project.base_url)
            self._attempt("chat", lambda: self._check_answer(agent))

    def _report_nobody(self) -> None:
        """Report that there is nobody to ask, if a question is wanted."""
        if self.chat:
            text = self._translate(doctor_hints.NOTHING_TO_CHAT)
            self._report("chat", "problem", text, doctor_hints.NAME_A_BOT)

    # --- Lines -----------------------------------------------------------------------------------

    @property
    def _colon(self) -> str:
        return ": " if self.lang == "en" else "："

    def _attempt(self, name: str, check: Callable[[], None]) -> bool:
        """Make a check; an error is its result. Return whether there was none."""
        try:
            check()
        except Exception as error:  # noqa: BLE001 - also what the user's functions raise
            self._report_error(name, error)
            return False
        return True

    def _report_error(self, name: str, error: Exception, prefix: str = "") -> None:
        """Report an error of this package, or what a function of the user has raised."""
        if not isinstance(error, CozeError):
            names = [n for n in ("default_headers", "http_client") if self.fields.get(n)]
            names = names if name != "token" and names else ["api_key"]
            sources = " / ".join(f"{n}=" for n in names)
            text = self._translate(doctor_hints.RAISED, error=type(error).__name__, names=sources)
            self._report(name, "problem", prefix + text, doctor_hints.CALL_IT)
            return
        codes = {"code": error.code, "logid": error.logid}
        known = ", ".join(f"{key} {value}" for key, value in codes.items() if value)
        message = f"{error.message} ({known})" if known else error.message
        text = next(text for kind, text in _TEXTS.items() if isinstance(error, kind))
        text = self._translate(text, message=message)
        self._report(name, "problem", prefix + text, error.hint or "")

    def _report_invalid(self, name: str, error: Exception) -> None:
        """Report a setting that is wrong; once, if it is one of the API and of the site."""
        text, setting = choose(str(error), self.lang), ""
        if isinstance(error, ValidationError):
            details = error.errors(include_url=False, include_input=False)[0]
            setting = str(next(iter(details["loc"]), ""))
            text = choose(details["msg"].removeprefix("Value error, "), self.lang)
            text = text if setting in text else f"{setting}{self._colon}{text}"
        if any(check.message == text for check in self.checks):
            return
        key = "site" if (name, setting) == ("site", "base_url") else setting
        setting = _SETTINGS.get(key, f"{setting}=" if setting else "")
        hint = doctor_hints.INVALID_SETTING.format(setting=setting) if setting else ""
        self._report(name, "problem", text, hint)

    def _report(self, name: str, status: Status, text: str, hint: str = "") -> None:
        if hint:  # without its first word; that of the clock may stand before another one
            lines = hint.splitlines()
            hint = choose("\n".join(lines[-2:]), self.lang)
            hint = hint.removeprefix("Hint: ").removeprefix("提示：")
        check = DoctorCheck(
            name=name, status=status, message=_to_line(redact(text)), hint=_to_line(redact(hint))
        )
        if check not in self.checks:  # the proxy of the API may be that of the site
            self.checks.append(check)

    def _translate(self, text: str, /, **values: Any) -> str:
        return choose(text, self.lang).format(**values)

    def _list_names(self, items: Any) -> str:
        """Return the names in a list of objects."""
        items = items if isinstance(items, list) else []
        names = [str(item.get("name") or "?") for item in items if isinstance(item, dict)]
        return self._join(names)

    def _list_inputs(self, inputs: Mapping[str, Any], required: list[str]) -> str:
        return self._join(
            self._translate(doctor_hints.REQUIRED, name=name) if name in required else name
            for name in inputs
        )

    def _join(self, names: Iterable[str]) -> str:
        listed = list(names)
        more = [f"… ({len(listed)})"] if len(listed) > _MAX_NAMES else []
        comma = ", " if self.lang == "en" else "、"
        return comma.join(listed[:_MAX_NAMES] + more) or self._translate(doctor_hints.NONE)


def _verify_token(bot_id: str) -> Flow[tuple[Reply | None, str]]:
    """Return the reply about the user and the user's name; both may be unknown.

    Raises:
        CozeAuthenticationError: The server refuses the token.
        CozeError: The server has not judged the token.
    """
    try:
        reply, user = yield from fetch_user(_POLICY)
    except CozePermissionError as error:
        if error.code is None:  # of a gateway
            raise
        return None, ""  # a token that may not read its user
    except CozeError as error:
        if not is_missing_route(error):
            raise
    else:
        return reply, str(user.get("nick_name") or user.get("user_name") or "")
    try:  # Coze Studio: whatever it says of a bot, it has judged the token first
        yield from fetch_bot(bot_id, _POLICY)
    except (
        CozeAuthenticationError,
        CozeConnectionError,
        CozeRateLimitError,
        CozeTimeoutError,
    ):
        raise
    except CozeError as error:
        if error.status_code in _GATEWAY_STATUSES:
            raise
    return None, ""


def _to_line(text: str) -> str:
    """Return a text as one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _find_language() -> Language:
    """Return the language of the system, from the variables that gettext reads."""
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    value = next((v for name in names if (v := os.environ.get(name))), "")
    return "zh" if value.lower().startswith("zh") else "en"
