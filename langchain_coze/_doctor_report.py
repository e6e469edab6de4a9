"""`DoctorReport`: the lines of the doctor, in English or Chinese."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from langchain_coze import _doctor_hints as doctor_hints

Language = Literal["en", "zh"]
Status = Literal["ok", "problem", "unknown"]

_STATUS_WORDS = {
    "en": {"ok": "ok     ", "problem": "problem", "unknown": "unknown"},
    "zh": {"ok": "正常", "problem": "异常", "unknown": "未知"},
}
_NAMES = {
    "server": "服务器",
    "proxy": "代理",
    "token": "令牌",
    "clock": "时钟",
    "workspaces": "空间",
    "bot": "智能体",
    "workflow": "工作流",
    "site": "coze.site",
    "chat": "对话",
}


@dataclass(frozen=True, kw_only=True)
class DoctorCheck:
    """The result of one check.

    Attributes:
        name: What was checked: `server`, `proxy`, `token`, `clock`, `workspaces`, `bot`,
            `workflow`, `site`, `chat`.
        status: `"ok"`, `"problem"`, or `"unknown"` if this server does not tell.
        message: What was found.
        hint: What to do about a problem, or an empty string.
    """

    name: str
    status: Status
    message: str
    hint: str = ""


@dataclass(frozen=True)
class DoctorReport:
    """What the doctor found; as a str it has one line for each check.

    Attributes:
        checks: The checks, in the order of their lines.
        lang: The language of the texts, `"en"` or `"zh"`.
    """

    checks: tuple[DoctorCheck, ...]
    lang: Language = "en"

    @property
    def ok(self) -> bool:
        """Whether no check has found a problem."""
        return all(check.status != "problem" for check in self.checks)

    def to_json(self) -> str:
        """Return the report as ASCII JSON: `ok` and `checks`."""
        checks = [asdict(check) for check in self.checks]
        return json.dumps({"ok": self.ok, "checks": checks}, indent=2)

    def __str__(self) -> str:
        """Return the lines, and a summary."""
        lines = [self._format(check) for check in self.checks]
        count = sum(check.status == "problem" for check in self.checks)
        summary = doctor_hints.SUMMARY_PROBLEMS if count else doctor_hints.SUMMARY_OK
        return "\n".join([*lines, choose(summary, self.lang).format(count=count)])

    __repr__ = __str__  # for notebooks

    def _format(self, check: DoctorCheck) -> str:
        word = _STATUS_WORDS[self.lang][check.status]
        name = check.name if self.lang == "en" else _NAMES[check.name]
        colon = ": " if self.lang == "en" else "："
        hint = f" → {check.hint}" if check.hint else ""
        return f"{word}  {name}{colon}{check.message}{hint}"


def choose(text: str, lang: Language) -> str:
    """Return the line of a bilingual text in a language; the last one for Chinese."""
    lines = text.splitlines()
    return lines[0] if lang == "en" else lines[-1]
