"""A Coze workflow as a LangChain tool: its schema, its output, its progress, its failures.

Run it with `python examples/workflow_tool.py`. It asks a local server; with a workflow of yours,
give its `workflow_id` and your token, which needs the permissions to run (`run`) and to read
workflows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator  # noqa: TC003 - the local server reads the signature
from typing import TYPE_CHECKING, Any

from langchain_coze import CozeWorkflowTool
from langchain_coze.local import Fail, LocalCoze, Message, TokenUsage

if TYPE_CHECKING:
    from langchain_core.messages import ToolCall

LINES = ("Green leaves at dawn,", "the kettle begins to sing.")


def write_poem(topic: str, lines: int = 2) -> Generator[Any, Any, Any]:
    """Write a poem.

    Args:
        topic: What it is about.
        lines: How many lines, at most 2.
    """
    if lines > len(LINES):
        return Fail(720701002, f"lines is at most {len(LINES)}")
    yield Message(f"Thinking about {topic}", node_title="Plan")
    for line in LINES[:lines]:
        yield Message(line, node_title="Write", finished=line == LINES[lines - 1])
    yield TokenUsage(12, 30)
    return {"title": topic.title(), "poem": "\n".join(LINES[:lines])}


async def watch(tool: CozeWorkflowTool) -> None:
    """Print what the nodes say while the workflow runs."""
    async for event in tool.astream_events({"topic": "tea"}, version="v2"):
        if event["event"] == "on_custom_event":
            told: Any = event["data"]
            print(f"  {told['node']}: {told['content']}")


def main() -> None:
    """Use a workflow as programs do, and as agents do."""
    with LocalCoze(workflows=write_poem) as coze:
        # Name, description and parameters come from Coze.
        tool = CozeWorkflowTool.from_workflow(
            coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url
        )
        print(f"{tool.name}: {tool.description}")
        for name, field in tool.args.items():
            print(f"  {name} ({field['type']}): {field['description']}")

        print("> a program / 程序调用")
        print(tool.invoke({"topic": "tea", "lines": 1}))

        print("> an agent / agent 调用")
        call: ToolCall = {"name": tool.name, "args": {"topic": "tea"}, "id": "1"}
        message = tool.invoke({**call, "type": "tool_call"})
        run = message.artifact  # a WorkflowRun
        print("content:", message.content)
        print("output:", run.output["title"])
        print("tokens:", run.usage["total_tokens"])
        print("debug_url:", run.debug_url)

        print("> progress / 进度")
        asyncio.run(watch(tool))

        print("> a failure, as an agent reads it / 失败：agent 读到的内容")
        for wrong in ({"topic": "tea", "lines": 9}, {"lines": 1}):
            message = tool.invoke({**call, "args": wrong, "type": "tool_call"})
            print(f"{message.status}: {message.content}")


if __name__ == "__main__":
    main()
