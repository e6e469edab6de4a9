"""The calls of a soak: each returns what went wrong, as the name of a counter, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_coze import (
    ChatCoze,
    ChatCozeSite,
    CozeError,
    CozeRecallRetriever,
    CozeSiteTool,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
)
from tests.soak.server import TOPICS, write_answer

FAULTS = (
    "close",
    "cut_mid_line",
    "cut_mid_line,cut_reset",
    "error=4028",
    "error=5000",
    "failed=4014",
    "failed=5000",
    "http_429=0",
    "http_502",
    "idle=2",
    "no_done",
    "recall_failed",
)
FAULT_RATE = 0.15
ARGUMENTS = {"type": "object", "properties": {"call": {"type": "string"}}, "required": ["call"]}


@dataclass(frozen=True)
class Clients:
    """The components under test, as one process of a user would share them."""

    bot: ChatCoze
    polling_bot: ChatCoze
    retriever: CozeRecallRetriever
    workflow: CozeWorkflowTool
    site_agent: ChatCozeSite
    site_workflow: CozeSiteTool
    broken_site: ChatCozeSite

    @classmethod
    def create(cls, server: dict[str, Any]) -> Clients:
        """Create the clients of a server, from its greeting."""
        coze, bot_id = server["coze"], server["bot_id"]
        agent, workflow, broken = server["sites"]
        return cls(
            bot=ChatCoze(bot_id=bot_id, **coze),
            polling_bot=ChatCoze(bot_id=bot_id, response_mode="poll", poll_interval=0.2, **coze),
            retriever=CozeRecallRetriever(bot_id=bot_id, **coze),
            workflow=CozeWorkflowTool(
                workflow_id=server["workflow_id"],
                name="book",
                description="Book a day.",
                args_schema=ARGUMENTS,
                handle_tool_error=False,
                **coze,
            ),
            site_agent=ChatCozeSite(**agent),
            site_workflow=CozeSiteTool(
                name="site", description="Run.", args_schema=ARGUMENTS, **workflow
            ),
            broken_site=ChatCozeSite(max_retries=0, **broken),
        )

    async def close(self) -> None:
        """Close the connections of all components, of both kinds."""
        for client in vars(self).values():
            await client.aclose()
            client.close()


class WrongAnswerError(AssertionError):
    """An answer is not that of its call; the text is the name of a counter."""


def check_text(text: str, call: str, expected: str = "") -> None:
    """Compare an answer with the only right one."""
    expected = expected or write_answer(call)
    if text == expected:
        return
    if text.count(f"{call}:0") > 1:
        raise WrongAnswerError("doubled")
    others = {word.partition(":")[0] for word in text.split() if ":" in word} - {call}
    raise WrongAnswerError("mixed" if others else "lost")


# --- One call of each kind -----------------------------------------------------------------------


async def stream(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Stream an answer."""
    bot = clients.bot.model_copy(update={"default_headers": headers})
    text = ""
    try:
        async for chunk in bot.astream(f"{call} please"):
            text += chunk.text
    except CozeError:
        if not write_answer(call).startswith(text):
            raise WrongAnswerError("mixed") from None
        raise
    check_text(text, call)


async def invoke(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Get an answer in one piece."""
    bot = clients.bot.model_copy(update={"default_headers": headers})
    check_text((await bot.ainvoke(f"{call} please")).text, call)


async def invoke_in_thread(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Get an answer with the synchronous client, in a thread."""
    bot = clients.bot.model_copy(update={"default_headers": headers})
    check_text((await asyncio.to_thread(bot.invoke, f"{call} please")).text, call)


async def poll(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Get an answer by polling."""
    bot = clients.polling_bot.model_copy(update={"default_headers": headers})
    check_text((await bot.ainvoke(f"{call} please")).text, call)


async def retrieve(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Search for a topic."""
    retriever = clients.retriever.model_copy(update={"default_headers": headers})
    topic = f"topic{int(call[1:]) % TOPICS}"
    documents = await retriever.ainvoke(f"{call} {topic}")
    names = [document.metadata["document_name"] for document in documents]
    if names != [topic]:
        raise WrongAnswerError("mixed" if names else "lost")


async def answer_workflow(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Run a workflow and answer its question."""
    tool = clients.workflow.model_copy(update={"default_headers": headers})
    try:
        await tool.ainvoke({"call": call})
    except CozeWorkflowInterrupt as interrupt:
        run = await tool.aresume(interrupt, "Friday")
        check_text(run.output["output"], call, f"{write_answer(call)} on Friday")
        return
    raise WrongAnswerError("lost")


async def upload(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Send a file with the question."""
    bot = clients.bot.model_copy(update={"default_headers": headers})
    data = f"{call}\n".encode() * 50
    block = {"type": "file", "data": data, "mime_type": "text/plain", "filename": "call.txt"}
    question = HumanMessage([{"type": "text", "text": f"{call} read"}, block])
    answer = await bot.ainvoke([question])
    check_text(answer.text, call, f"{len(data)} bytes {write_answer(call)}")


async def leave_early(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Stop reading a stream after its first chunk."""
    settings = {"default_headers": headers, "cancel_on_close": random.random() < 0.5}
    bot = clients.bot.model_copy(update=settings)
    chunks = bot.astream(f"{call} please")
    async for chunk in chunks:
        if chunk.text:
            break
    assert isinstance(chunks, AsyncGenerator)
    await chunks.aclose()


async def give_up(clients: Clients, call: str, headers: dict[str, str]) -> None:
    """Cancel the task of a call."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stream(clients, call, headers), random.random() * 0.3)


async def stream_site(clients: Clients, call: str, _headers: dict[str, str]) -> None:
    """Stream an answer from coze.site."""
    text = ""
    async for chunk in clients.site_agent.astream(f"{call} please"):
        text += chunk.text
    check_text(text, call)


async def run_site(clients: Clients, call: str, _headers: dict[str, str]) -> None:
    """Run a workflow at coze.site."""
    result = await clients.site_workflow.ainvoke({"call": call})
    check_text(json.loads(result)["output"], call)


async def break_site(clients: Clients, call: str, _headers: dict[str, str]) -> None:
    """Read a stream of coze.site that is cut: it must not pass for an answer."""
    with contextlib.suppress(CozeError):
        await clients.broken_site.ainvoke(f"{call} please")
        raise WrongAnswerError("lost")


Call = Callable[[Clients, str, dict[str, str]], Awaitable[None]]
CALLS: tuple[Call, ...] = (
    stream,
    stream,
    invoke,
    invoke,
    invoke_in_thread,
    poll,
    retrieve,
    answer_workflow,
    upload,
    leave_early,
    give_up,
    stream_site,
    run_site,
    break_site,
)


async def call_each_once(clients: Clients) -> None:
    """Make one call of each kind, named `c0`."""
    for kind in dict.fromkeys(CALLS):
        with contextlib.suppress(CozeError):
            await kind(clients, "c0", {})


async def make_call(clients: Clients, call: str) -> tuple[str, str]:
    """Make a random call, sometimes with a fault.

    Returns:
        The name of a counter and a description; both are empty if all is well.
    """
    kind = random.choice(CALLS)
    fault = random.choice(FAULTS) if random.random() < FAULT_RATE else ""
    headers = {"X-Local-Fault": fault} if fault else {}
    about = f"{call} {kind.__name__} {fault}"
    try:
        await asyncio.wait_for(kind(clients, call, headers), 60)
    except WrongAnswerError as error:
        return str(error), about
    except CozeError as error:
        return ("", "") if fault else ("lost", f"{about}: {error!r}")
    except Exception as error:  # noqa: BLE001 - anything else is a defect of ours
        return "lost", f"{about}: {error!r}"
    return "", ""
