"""The workflows of a Coze workspace, each as a tool.

Run it with `python examples/toolkit.py`. With COZE_API_TOKEN and COZE_WORKSPACE_ID set it lists the
workflows of your workspace, and runs none; the token needs the permissions to list and read
workflows. The id is the number after `/space/` in the address of the workspace.
"""

from __future__ import annotations

import os
import sys

from langchain_coze import CozeError, CozeToolkit
from langchain_coze.local import LocalCoze, LocalWorkflow


def show(toolkit: CozeToolkit) -> None:
    """Print what each tool is for, and what it takes."""
    for tool in toolkit.get_tools():
        print(f"{tool.name}: {tool.description}")
        for name, field in tool.args.items():
            print(f"  {name} ({field.get('type', 'any')}) {field.get('description', '')}".rstrip())


def book_table(people: int, day: str = "today") -> str:
    """Book a table."""
    return f"a table for {people}, {day}"


def main() -> None:
    """Show the tools; on a local server, use one of them as well."""
    workspace_id = os.environ.get("COZE_WORKSPACE_ID")
    if os.environ.get("COZE_API_TOKEN") and workspace_id:
        show(CozeToolkit(workspace_id=workspace_id))
        return
    table = LocalWorkflow(book_table, name="订位", description="预订餐位")
    with LocalCoze(workflows=[*LocalCoze().workflows, table]) as coze:
        print("To list your own, set COZE_API_TOKEN and COZE_WORKSPACE_ID")
        print("要列出您自己的工作流，请设置 COZE_API_TOKEN 和 COZE_WORKSPACE_ID\n")
        toolkit = CozeToolkit(
            workspace_id=coze.workspace_id, api_key=coze.token, base_url=coze.base_url
        )
        show(toolkit)
        # All of them can be given to an agent: create_agent(model, toolkit.get_tools())
        tools = {tool.name: tool for tool in toolkit.get_tools()}
        print("\ncount_words:", tools["count_words"].invoke({"text": "a small word count"}))


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
