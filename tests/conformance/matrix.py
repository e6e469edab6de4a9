"""What the official SDKs make of the local server: every call, played and judged."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any

from tests.conformance.calls import CALLS, PROFILES, Defect, expected
from tests.conformance.install import SDKS
from tests.conformance.sdk_runner import play, server, why_not_ready

_PLACES = {"cloud": ("Cloud", "云端"), "studio": ("Studio", "Studio")}
_WORDS = {
    "ok": ("ok", "正常"),
    "defect": ("defect", "缺陷"),
    "missing": ("not offered", "未提供"),
    "nowhere": ("not there", "无此功能"),
    "wrong": ("WRONG", "不符预期"),
    "absent": ("not installed", "未安装"),
}
_LANGUAGES = ("en", "zh")


class Matrix:
    """The sessions of every SDK with every kind of server, each played once when first needed."""

    def __init__(self) -> None:
        """Play nothing yet."""
        self._sessions: dict[tuple[str, str], Future[Mapping[str, Any]]] = {}

    def lines(self, sdk: str, profile: str) -> Mapping[str, Any]:
        """What an SDK told of each call. The first time all sessions are played, at once."""
        if not self._sessions:
            ready = [name for name in SDKS if why_not_ready(name) is None]
            with ThreadPoolExecutor(len(ready) * len(PROFILES)) as pool:
                for column in product(ready, PROFILES):
                    self._sessions[column] = pool.submit(_session, *column)
        return self._sessions[sdk, profile].result()

    def kind(self, call: str, sdk: str, profile: str) -> str:
        """How a call went: a key of the words in a table."""
        if why_not_ready(sdk):
            return "absent"
        told = expected(call, sdk, profile)
        as_told = not told.line or self.lines(sdk, profile)[call] == told.line
        return told.kind if as_told else "wrong"

    def markdown(self, language: str = "en") -> str:
        """The matrix as a table, with its notes.

        Args:
            language: ``"en"`` or ``"zh"``.
        """
        at = _LANGUAGES.index(language)
        columns = list(product(SDKS, PROFILES))
        titles = [f"{SDKS[sdk].title}, {_PLACES[profile][at]}" for sdk, profile in columns]
        notes: list[Defect] = []
        rows = [[("Call", "调用")[at], *titles], ["---"] * (len(columns) + 1)]
        for call in CALLS:
            cells = [self._cell(call, column, notes, at) for column in columns]
            rows.append([f"`{call}`", *cells])
        table = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([*table, "", *_numbered(notes, language)])

    def _cell(self, call: str, column: tuple[str, str], notes: list[Defect], at: int) -> str:
        kind, defect = self.kind(call, *column), expected(call, *column).defect
        if kind != "defect" or defect is None:
            return _WORDS[kind][at]
        if defect not in notes:
            notes.append(defect)
        return f"{_WORDS[kind][at]} {notes.index(defect) + 1}"


def _numbered(notes: Iterable[Defect], language: str) -> list[str]:
    return [f"{number}. {getattr(note, language)}" for number, note in enumerate(notes, 1)]


def _session(sdk: str, profile: str) -> Mapping[str, Any]:
    names = [name for name in CALLS if expected(name, sdk, profile).line]
    with server(profile) as coze:
        return play(sdk, coze, *names)
