"""The local server that the official SDKs are tried on, and how their sessions are played."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langchain_coze.local import (
    Ask,
    AskInput,
    ClientTool,
    Fail,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalKnowledge,
    LocalOAuthApp,
    LocalWorkflow,
    Pause,
    TokenUsage,
    Turn,
)
from tests.conformance.install import SDKS, python_of

ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).parent
_LONGEST_SESSION = 60  # seconds


def place_of(sdk: str) -> Path:
    """The directory that an SDK is installed in."""
    if sdk == "cozepy":
        return Path(os.environ.get("COZE_CONFORMANCE_VENV") or ROOT / ".venv-conformance")
    return Path(os.environ.get("COZE_CONFORMANCE_NODE") or ROOT / ".node-conformance")


def why_not_ready(sdk: str) -> str | None:
    """None when an SDK can be tried, else a sentence that says why not."""
    if sdk == "coze-js" and shutil.which("node") is None:
        return "node is not there: the JavaScript SDK cannot be tried"
    return SDKS[sdk].why_not_ready(place_of(sdk))


def _tea(question: str, turn: Turn) -> Iterator[str]:
    count = len(turn.messages)
    yield f"{question}: "
    yield f"杯 & <{count}>"


def _weather(_question: str) -> Any:
    degrees = yield ClientTool("get_weather", {"city": "杭州"})
    yield f"It is {degrees} degrees."


async def _slow(_question: str) -> Any:
    yield Pause(30)


def _read(_question: str, turn: Turn) -> str:
    return ", ".join(f"{file.name}: {file.data.decode()}" for file in turn.files)


def _broken(_question: str) -> Any:
    yield Fail(5000, "event interval error")


def _order(question: str) -> Any:
    city = yield Ask("Where to?")
    yield from (question, f" to {city}")  # Studio does not complete an answer of one piece


def locate(city: str) -> str:
    """Find a city."""
    return f"{city} & 116.4°E"


def book(city: str) -> Any:
    """Book a room."""
    yield f"Looking in {city}"
    stay = yield AskInput({"nights": int})
    yield TokenUsage(50, 100)
    answer = yield Ask("Sure?", ["yes", "no"])
    return {"booked": answer, **stay}


async def wait(city: str) -> Any:
    """Say nothing for a while."""
    yield Pause(0.25)
    yield city


def fail() -> str:
    """Fail."""
    raise ValueError("no room")


def server(profile: str, error_status: str = "200") -> LocalCoze:
    """A server that has one of everything that the sessions ask for."""
    plants = LocalKnowledge(["Tea grows on hills."], name="plants")
    bots = [
        LocalBot(_tea, name="tea", knowledge=plants, follow_ups=["Which hills?"]),
        LocalBot(_weather, name="weather"),
        LocalBot(_slow, name="slow"),
        LocalBot(_read, name="read"),
        LocalBot(_broken, name="broken"),
        LocalBot(_tea, name="forbidden", faults="error=4101"),
        LocalBot(_tea, name="shelf"),
        LocalBot(_tea, name="draft", published=False),
    ]
    workflows = [locate, book, fail, LocalWorkflow(wait, ping=0.1)]
    hidden = LocalWorkflow(locate, name="hidden", published=False)
    return LocalCoze(
        bots,
        workflows=[*workflows, hidden],
        chatflows=LocalChatflow(_order, name="order"),
        profile=profile,
        error_status=error_status,
        oauth_apps=LocalOAuthApp(),
        stop_timeout=0,
    )


def _facts(coze: LocalCoze) -> dict[str, Any]:
    app = coze.oauth_apps[0]
    return {
        "bots": {bot.name: bot.bot_id for bot in coze.bots},
        "workflows": {workflow.name: workflow.workflow_id for workflow in coze.workflows},
        "chatflow": coze.chatflows[0].workflow_id,
        "workspace": coze.workspace_id,
        "app": {"id": app.client_id, "key": app.private_key, "key_id": app.key_id},
    }


def command_of(sdk: str) -> list[str]:
    """The program that plays a session with an SDK, without its arguments."""
    place = place_of(sdk)
    if sdk == "cozepy":
        return [str(python_of(place)), str(_HERE / "cozepy_calls.py")]
    return ["node", str(_HERE / "coze_js_session.mjs"), str(place)]


def play(sdk: str, coze: LocalCoze, *only: str) -> dict[str, Any]:
    """Play the calls of an SDK against a server made with `server`; see `play_at`."""
    return play_at(sdk, coze.base_url, coze.token, _facts(coze), *only)


def play_at(
    sdk: str, base_url: str, token: str, facts: Mapping[str, Any], *only: str
) -> dict[str, Any]:
    """Play the calls of an SDK against any server.

    Args:
        sdk: ``"cozepy"`` or ``"coze-js"``.
        base_url: Where the server is.
        token: What it wants to be told.
        facts: The ids of what it serves, by name.
        only: Names of calls; all of them when none is given.

    Returns:
        What was seen, by call: ``{"saw": …}`` where it went well; ``{"error": …}`` with the SDK's
        own class and the code or message where it did not; ``{"missing": …}`` where the SDK has no
        such method.
    """
    done = subprocess.run(
        [*command_of(sdk), base_url, token, json.dumps(facts), *only],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"},
        timeout=_LONGEST_SESSION,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the session of {sdk} ended with {done.returncode}: {done.stderr}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line.pop("call"): line for line in lines}
