"""An agent of coze.site as a chat model: streaming, its own tools, memory, a fork, token usage.

Run it with `python examples/site_agent.py`. With an agent of yours, set `COZE_SITE_BASE` and
`COZE_SITE_TOKEN` (the project's API token); otherwise it starts a local one.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_coze import ChatCozeSite, CozeError
from langchain_coze.local import LocalSite

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_agent(**fields: Any) -> Iterator[ChatCozeSite]:
    """Yield your agent, or a local one."""
    if os.environ.get("COZE_SITE_BASE"):
        yield ChatCozeSite(**fields)
        return
    with LocalSite() as site:
        yield ChatCozeSite(base_url=site.base_url, api_key=site.token, **fields)


def main() -> None:
    """Talk with the agent."""
    with open_agent(session="thread") as agent:
        print("> a stream / 流式输出")
        for chunk in agent.stream("What is a Coze workflow?"):
            print(chunk.text, end="", flush=True)
        print()

        print("> its own tools / 智能体自己的工具")
        history: list[BaseMessage] = [HumanMessage("What is a knowledge base in Coze?")]
        answer = agent.invoke(history)
        for block in answer.content_blocks:
            if block["type"] == "server_tool_call":
                print(f"{block['name']}({block['args']})")

        print("> the agent remembers / 智能体记得之前的对话")
        history += [answer, HumanMessage("And what is a plugin?")]
        second = agent.invoke(history)
        print(second.text)
        print("same session:", get_session(second) == get_session(answer))

        print("> a fork gets a session of its own / 分叉使用新会话")
        fork = agent.invoke([*history[:-1], HumanMessage("And what is a chatflow?")])
        print("same session:", get_session(fork) == get_session(answer))

        print("> token usage, in one reply / 一次响应，带 token 用量")
        whole = agent.model_copy(update={"response_mode": "run"}).invoke("What is error 4015?")
        print("tokens:", whole.usage_metadata["total_tokens"] if whole.usage_metadata else "none")


def get_session(answer: BaseMessage) -> str:
    """Return the session that an answer belongs to."""
    return str(answer.response_metadata["session_id"])


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
