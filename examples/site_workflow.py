"""A workflow of coze.site as a LangChain tool: its schema, its progress, a task, a failure.

Run it with `python examples/site_workflow.py`. It asks a local project; with a workflow of yours,
set `COZE_SITE_BASE` and `COZE_SITE_TOKEN`, call `CozeSiteTool.from_site()`, and pass its inputs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_coze import CozeSiteTool
from langchain_coze.local import LocalSite


def book(city: str, nights: int = 1) -> dict[str, Any]:
    """Book a hotel room.

    Args:
        city: Which city.
        nights: How many nights, at most 7.
    """
    if nights > 7:  # noqa: PLR2004 - the rule of this hotel
        raise ValueError("nights is at most 7")
    return {"booked": f"{nights} night(s) in {city}"}


async def watch(tool: CozeSiteTool) -> None:
    """Print which nodes run."""
    async for event in tool.astream_events({"city": "杭州"}, version="v2"):
        if event["event"] == "on_custom_event":
            progress: Any = event["data"]
            print(f"  {progress['node']}: {'done' if progress['is_finish'] else 'running'}")


def main() -> None:
    """Use a workflow as programs do, and as agents do."""
    with LocalSite(workflow=book) as site:
        fields: dict[str, Any] = {"name": "book", "api_key": site.token}
        tool = CozeSiteTool.from_site(site.base_url, **fields)
        print(f"{tool.name}: {tool.description}")
        for name, field in tool.args.items():
            print(f"  {name} ({field['type']}): {field['description']}")

        print("> a program / 程序调用")
        print(tool.invoke({"city": "杭州", "nights": 2}))

        print("> progress / 进度")
        asyncio.run(watch(tool.model_copy(update={"run_mode": "stream"})))

        print("> a task, for long work / 异步任务，适合耗时的工作")
        task = tool.model_copy(update={"run_mode": "async", "poll_interval": 0.1})
        call = {"name": "book", "args": {"city": "北京"}, "id": "1", "type": "tool_call"}
        message = task.invoke(call)
        print("content:", message.content)
        print("output:", message.artifact.output["booked"])

        print("> a failure, as an agent reads it / 失败：agent 读到的内容")
        message = tool.invoke({**call, "args": {"city": "北京", "nights": 9}})
        print(f"{message.status}: {message.content}")


if __name__ == "__main__":
    main()
