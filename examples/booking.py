"""A workflow that asks a person: a form and a question, answered at the terminal.

An agent calls the workflow as its tool. Each question of the workflow is an interrupt of LangGraph;
the answer goes on with the same run in Coze, which is started once.

Run it with `python examples/booking.py`. It asks a local server; with a workflow of yours, give its
`workflow_id` and your token, which needs the permissions to run (`run`) and to read workflows.
"""

from __future__ import annotations

import sys
from collections.abc import Generator  # noqa: TC003 - the local server reads the signature
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_coze import ChatCoze, CozeWorkflowTool, create_coze_agent
from langchain_coze.local import Ask, AskInput, ClientTool, LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

QUESTION = "A room in Hangzhou, please."
WITHOUT_A_PERSON = {"guest": "Ada", "nights": "2", "": "yes"}


def book_room(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Book a hotel room; asks the guest what it needs to know.

    Args:
        city: Where to sleep.
    """
    stay: dict[str, Any] = yield AskInput({"guest": str, "nights": (int, 1)})
    answer: str = yield Ask(f"{stay['nights']} night(s) in {city}: book it?", ["yes", "no"])
    return {"booked": answer == "yes", "city": city, **stay}


def host(_: str) -> Generator[Any, Any, None]:
    """Play the agent's model on a local server: call the workflow, and tell what it says."""
    told = yield ClientTool("book_room", {"city": "Hangzhou"})
    yield f"The workflow says: {told}"


def typed(prompt: str, name: str = "") -> str:
    """Return what the person at the terminal types; without one, a prepared answer."""
    print(f"? {prompt} ", end="", flush=True)
    if sys.stdin.isatty():
        return input()
    print(WITHOUT_A_PERSON[name])
    return WITHOUT_A_PERSON[name]


def answered(pending: dict[str, Any]) -> str | dict[str, Any]:
    """Return the answer to what the workflow asks: the values of a form, or text."""
    if not pending["required_parameters"]:
        return typed(pending["question"].replace("\n", " / "))
    values: dict[str, Any] = {}
    for name, field in pending["required_parameters"].items():
        told = typed(f"{name} ({field['type']}):", name)
        if told:  # what is left out gets its default, if it has one
            values[name] = int(told) if field["type"] == "integer" else told
    return values


def main() -> None:
    """Run the agent until nothing is asked any more."""
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with LocalCoze(host, workflows=book_room) as coze:
        tool = CozeWorkflowTool.from_workflow(
            coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url
        )
        # Any chat model that calls tools goes here; this one plays a script on this machine.
        model = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
        # Questions need a checkpointer: a thread can wait for days, and go on in another process.
        agent = create_coze_agent(model, [tool], name="host", checkpointer=InMemorySaver())
        print("user:", QUESTION)
        given: Any = {"messages": [("user", QUESTION)]}
        while given is not None:
            state = agent.invoke(given, config)
            asked = state.get("__interrupt__", ())
            answers = {question.id: answered(question.value) for question in asked}
            given = Command(resume=answers) if answers else None
        print("agent:", state["messages"][-1].text)
        paths: Iterator[str] = (request.path for request in coze.requests)
        print("requests / 请求:", *(path for path in paths if path.startswith("/v1/workflow/")))


if __name__ == "__main__":
    main()
