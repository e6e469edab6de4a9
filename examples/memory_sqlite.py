"""A thread whose history Coze keeps, gone on with by another process.

LangGraph keeps the thread in a file, Coze keeps the conversation, and only new messages are sent.
Each question is asked by a process of its own, as if the program had been restarted in between.

Run it with `python examples/memory_sqlite.py`; it needs `pip install langgraph-checkpoint-sqlite`.
The token needs the permission `listMessage` besides `chat`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _demo_bot import coze_bot
from pydantic import SecretStr

from langchain_coze import ChatCoze, CozeError, create_coze_agent

if TYPE_CHECKING:
    from langchain_coze.local import Turn

try:
    from langgraph.checkpoint.sqlite import SqliteSaver
except ImportError:
    sys.exit("This example needs one more package: pip install langgraph-checkpoint-sqlite")

QUESTIONS = ("My name is 小明.", "What is my name?")


def remember(_: str, turn: Turn) -> str:
    """Answer on the local server: show what the conversation holds."""
    said = [message.text for message in turn.messages if message.type == "human"]
    return f"So far you have said: {' '.join(said)}"


def ask(database: str, question: str) -> None:
    """Go on with the thread, in this process."""
    with SqliteSaver.from_conn_string(database) as saver, ChatCoze(conversation="thread") as bot:
        agent = create_coze_agent(bot, name="memory", checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        state = agent.invoke({"messages": [("user", question)]}, config)
    answer = state["messages"][-1]
    conversation_id = answer.response_metadata["conversation_id"]
    print(f"process {os.getpid()}, conversation {conversation_id}\n> {question}\n{answer.text}\n")


def main() -> None:
    """Start a process for each question."""
    with coze_bot(remember) as bot, tempfile.TemporaryDirectory() as folder:
        account = os.environ | {"COZE_API_BASE": bot.base_url, "COZE_BOT_ID": str(bot.bot_id)}
        if isinstance(bot.api_key, SecretStr):
            account["COZE_API_TOKEN"] = bot.api_key.get_secret_value()
        for question in QUESTIONS:
            command = [sys.executable, __file__, str(Path(folder, "threads.db")), question]
            done = subprocess.run(command, env=account, check=False)  # noqa: S603 - this program
            if done.returncode:
                sys.exit(done.returncode)


if __name__ == "__main__":
    try:
        ask(*sys.argv[1:]) if sys.argv[1:] else main()
    except CozeError as error:
        sys.exit(str(error))
