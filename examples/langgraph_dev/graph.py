"""A Coze bot and a Coze workflow behind LangGraph's own server.

Run it in this folder, after `pip install "langgraph-cli[inmem]"`, with `langgraph dev`. With
`COZE_API_TOKEN` and `COZE_BOT_ID` set `coze` is your bot, with `COZE_WORKFLOW_ID` `workflow` is
your workflow; without them both are on a local server. With LANGGRAPH_NO_VERSION_CHECK=1 and
LANGGRAPH_CLI_NO_ANALYTICS=1 nothing leaves this machine then.
"""

from __future__ import annotations

import os

from langchain_coze import ChatCoze, CozeWorkflowTool, create_coze_agent, create_workflow_graph
from langchain_coze.local import LocalCoze


def coze_bot() -> ChatCoze:
    """Return your bot where there is one, else a sample bot on a server of its own."""
    if os.environ.get("COZE_API_TOKEN") and os.environ.get("COZE_BOT_ID"):
        return ChatCoze()
    coze = LocalCoze().start()
    return ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)


def coze_workflow() -> CozeWorkflowTool:
    """Return your workflow where there is one, else a sample workflow, which asks back."""
    workflow_id = os.environ.get("COZE_WORKFLOW_ID")
    if os.environ.get("COZE_API_TOKEN") and workflow_id:
        return CozeWorkflowTool(workflow_id=workflow_id)
    coze = LocalCoze().start()
    book_room = next(flow for flow in coze.workflows if flow.name == "book_room")
    return CozeWorkflowTool(
        workflow_id=book_room.workflow_id, api_key=coze.token, base_url=coze.base_url
    )


agent = create_coze_agent(coze_bot(), name="coze")
workflow = create_workflow_graph(coze_workflow(), name="workflow")
