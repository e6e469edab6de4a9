"""A Coze bot behind LangGraph's own server.

Run it in this folder, after `pip install "langgraph-cli[inmem]"`, with `langgraph dev`. With
`COZE_API_TOKEN` and `COZE_BOT_ID` set it is your bot, without them one on a local server. With
LANGGRAPH_NO_VERSION_CHECK=1 and LANGGRAPH_CLI_NO_ANALYTICS=1 nothing leaves this machine then.
"""

from __future__ import annotations

import os

from langchain_coze import ChatCoze, create_coze_agent
from langchain_coze.local import LocalCoze


def coze_bot() -> ChatCoze:
    """Return your bot where there is one, else a sample bot on a server of its own."""
    if os.environ.get("COZE_API_TOKEN") and os.environ.get("COZE_BOT_ID"):
        return ChatCoze()
    coze = LocalCoze().start()
    return ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)


agent = create_coze_agent(coze_bot(), name="coze")
