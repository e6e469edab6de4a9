"""An agent whose tool is a Coze workflow; it mends its call when the workflow refuses one.

Run it with `python examples/workflow_agent.py`; it needs `pip install langchain`. It asks a local
server; with a workflow of yours, give its `workflow_id` and your token.
"""

from __future__ import annotations

import sys
from collections.abc import Generator  # noqa: TC003 - the local server reads the signature
from typing import Any

from langchain_coze import ChatCoze, CozeWorkflowTool
from langchain_coze.local import ClientTool, LocalCoze, Message

try:
    from langchain.agents import create_agent
except ImportError:
    sys.exit("This example needs one more package: pip install langchain")

QUESTION = "Plan two days in Hangzhou, please."
SIGHTS = ("West Lake", "Lingyin Temple", "Longjing")


def plan_trip(city: str, days: int) -> Generator[Any, Any, dict[str, Any]]:
    """Plan a trip.

    Args:
        city: Where to go.
        days: For how many days, from 1 to 3.
    """
    if days not in range(1, len(SIGHTS) + 1):
        message = f"days is {days}, but must be from 1 to {len(SIGHTS)}"
        raise ValueError(message)
    yield Message(f"Looking for sights in {city}", node_title="Search")
    yield Message(f"Planning {days} days", node_title="Plan")
    return {"plan": [f"Day {n}: {sight}" for n, sight in enumerate(SIGHTS[:days], 1)]}


def travel_agent(_: str) -> Generator[Any, Any, None]:
    """Play the agent's model on a local server: call, read what was wrong, call again, answer."""
    told = yield ClientTool("plan_trip", {"city": "Hangzhou", "days": 20})
    if "must be from" in told:
        told = yield ClientTool("plan_trip", {"city": "Hangzhou", "days": 2})
    yield f"Here you are: {told}"


def main() -> None:
    """Let the agent plan, and show each step and the progress of the workflow."""
    with LocalCoze(travel_agent, workflows=plan_trip) as coze:
        tool = CozeWorkflowTool.from_workflow(
            coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url
        )
        # Any chat model that calls tools goes here; this one plays a script on this machine.
        model = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
        agent = create_agent(model, [tool])
        print("user:", QUESTION)
        asked: Any = {"messages": [("user", QUESTION)]}
        parts: Any = agent.stream(asked, stream_mode=["custom", "updates"])
        for mode, part in parts:
            if mode == "custom":
                print(f"  {part['node']}: {part['content']}")
                continue
            for update in part.values():
                show(update["messages"][-1])


def show(message: Any) -> None:
    """Print a message of the agent or of its tool."""
    for call in getattr(message, "tool_calls", []):
        print(f"agent calls / agent 调用: {call['name']}({call['args']})")
    if message.type == "tool":
        print(f"tool / 工具 ({message.status}): {message.content}")
    elif message.text:
        print("agent:", message.text)


if __name__ == "__main__":
    main()
