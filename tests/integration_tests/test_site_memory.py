"""Whatever happens, the model behind a coze.site project sees the history that LangChain has."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_coze import ChatCozeSite, CozeError
from langchain_coze._convert.to_coze import (
    _LABELS,
    _QUESTION_HEADER,
    _TURNS_HEADER,
)
from tests.conftest import forget_conversations
from tests.integration_tests.site_server import Said, SiteServer, run_site

Mode = Literal["stream", "run"]
FAILURES = [429, 500, "301001", "cut", "leave"]


class Step(NamedTuple):
    """One step: who asks what on which history, and what happens to the turn.

    Attributes:
        user: Each user has a process and histories of their own.
        history: Which history is continued.
        cut: How many messages at its end are left out: a fork, or time travel.
        mode: The route.
        failure: What happens to the turn; None for a success.
        restart: Whether the user's process starts anew before the turn.
        is_async: Whether the call is async.
    """

    user: int
    history: int
    cut: int
    mode: Mode
    failure: Any
    restart: bool
    is_async: bool


STEPS = st.lists(
    st.builds(
        Step,
        user=st.integers(0, 1),
        history=st.integers(0, 3),
        cut=st.sampled_from([0, 0, 0, 2, 4]),
        mode=st.sampled_from(["stream", "run"]),
        failure=st.sampled_from([None, None, None, *FAILURES]),
        restart=st.sampled_from([False, False, False, True]),
        is_async=st.booleans(),
    ),
    min_size=2,
    max_size=12,
)


def expand(seen: list[Said]) -> list[Said]:
    """Return what the model saw, with transcripts as the messages that they hold."""
    return [message for role, text in seen for message in _expand_text(role, text)]


def _expand_text(role: str, text: str) -> list[Said]:
    if _QUESTION_HEADER not in text:
        return [(role, text)]
    earlier, _, question = text.partition(f"{_QUESTION_HEADER}\n\n")
    messages: list[Said] = []
    for paragraph in earlier.strip().split("\n\n"):
        if paragraph == _TURNS_HEADER:
            continue
        label = next(r for r in ("system", "user", "assistant") if paragraph.startswith(_LABELS[r]))
        messages.append((label, paragraph.removeprefix(_LABELS[label])))
    return [*messages, ("user", question)]


def to_said(history: list[BaseMessage]) -> list[Said]:
    roles = {"human": "user", "ai": "assistant", "system": "system"}
    return [(roles[message.type], str(message.text)) for message in history]


def ask(model: ChatCozeSite, history: list[BaseMessage], step: Step) -> BaseMessage | None:
    """Make a turn; return its answer, or None if it failed or was left."""
    if step.failure == "leave" and step.mode == "stream":
        stream: Any = model.stream(history)
        next(stream)
        stream.close()
        return None
    try:
        if step.is_async:
            return asyncio.run(model.ainvoke(history))
        return model.invoke(history)
    except CozeError:
        return None


def play(site: SiteServer, steps: list[Step], session: Literal["stateless", "thread"]) -> None:
    """Play the steps, and compare what the model saw in each of them."""
    histories: list[list[list[BaseMessage]]] = [
        [[SystemMessage(f"You serve user {user}.")] for _ in range(4)] for user in range(2)
    ]
    for number, step in enumerate(steps):
        if step.restart:
            forget_conversations()
        known = histories[step.user][step.history]
        start = known[: max(len(known) - step.cut, 1)]
        question = HumanMessage(f"question {number} of user {step.user}")
        model = ChatCozeSite(
            base_url=site.base_url,
            api_key="eyJtoken0000",
            session=session,
            response_mode=step.mode,
            max_retries=0,
            timeout=5,
            cancel_on_close=False,
        )
        site.failures = [step.failure] if step.failure not in {None, "leave"} else []
        turns = len(site.seen)
        answer = ask(model, [*start, question], step)
        for seen in site.seen[turns:]:
            assert expand(seen) == to_said([*start, question])
        if answer is not None:
            histories[step.user][step.history] = [*start, question, answer]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a_thread_shows_the_model_exactly_the_history(steps: list[Step]) -> None:
    forget_conversations()
    with run_site() as site:
        play(site, steps, "thread")
        assert site.overlaps == 0


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_a_stateless_call_shows_the_model_exactly_the_history(steps: list[Step]) -> None:
    with run_site() as site:
        play(site, steps, "stateless")
        assert all(len(memory) <= 12 * 2 + 2 for memory in site.sessions.values())


def test_a_history_without_surprises_stays_in_one_session() -> None:
    steps = [Step(0, 0, 0, "stream", None, restart=False, is_async=False)] * 5
    with run_site() as site:
        play(site, steps, "thread")
        assert len(site.sessions) == 1
