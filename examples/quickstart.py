"""An agent answers with its sources, runs a workflow that asks a person, and goes on.

    python examples/quickstart.py [--lang en|zh] [question ...]

Without an account it starts a local server with the help desk of a shop. With COZE_API_TOKEN and
COZE_BOT_ID set, you ask your own bot in Coze instead. Without `--lang` the language is that of your
environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from _demo_shop import serve_shop
from _terminal import Paragraph, ask, find_language, run_quietly, say
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_coze import (
    ChatCoze,
    CozeWorkflowTool,
    create_coze_agent,
    recalled_documents,
)

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableConfig

THREAD: RunnableConfig = {"configurable": {"thread_id": "demo"}}
TEXTS = {
    "en": {
        "you": "You",
        "bot": "Bot",
        "workflow": "Flow",
        "local": "A server on this machine plays Coze: no account needed.",
        "account": "To ask your own bot, set COZE_API_TOKEN and COZE_BOT_ID.",
        "own": "Bot {bot_id} at {base_url}.",
        "hello": "What can you do?",
        "first": "What can I do if an item arrives damaged?",
        "second": "Then please refund the cup of order 1024.",
        "answer": "yes",
        "calls": "runs the workflow {name} with {args}",
        "asks": "asks you: {question}",
        "sources": "Source",
        "tokens": "Tokens",
        "used": "{input_tokens} in, {output_tokens} out",
        "next": "Next",
        "runs": "Requests: {run} to start the workflow, {resume} to resume it with the answer.",
        "yours": "Type a question, or press Enter to end.",
    },
    "zh": {
        "you": "您",
        "bot": "智能体",
        "workflow": "工作流",
        "local": "本机的服务模拟扣子，无需账号。",
        "account": "想使用自己的智能体，请设置 COZE_API_TOKEN 和 COZE_BOT_ID。",
        "own": "智能体 {bot_id}，地址 {base_url}。",
        "hello": "您能做什么？",
        "first": "商品收到时已破损怎么办？",
        "second": "请给订单 1024 的杯子退款。",
        "answer": "同意",
        "calls": "运行工作流 {name}，参数 {args}",
        "asks": "向您提问：{question}",
        "sources": "来源",
        "tokens": "用量",
        "used": "输入 {input_tokens} token，输出 {output_tokens} token",
        "next": "接着问",
        "runs": "请求次数：启动工作流 {run} 次，用您的回答恢复运行 {resume} 次。",
        "yours": "请输入问题，直接按回车结束。",
    },
}


class Demo:
    """A conversation with an agent, printed as it happens."""

    def __init__(self, model: ChatCoze, tools: list[CozeWorkflowTool], language: str) -> None:
        """Create the agent; the checkpointer keeps the thread while the workflow waits."""
        self.texts = TEXTS[language]
        self._agent = create_coze_agent(model, tools, name="bot", checkpointer=InMemorySaver())
        self._paragraph: Paragraph | None = None
        self._answer: Any = None
        self._progress = ""

    def ask(self, question: str) -> None:
        """Ask the agent, and answer what its workflow asks, until it has finished."""
        given: Any = {"messages": [("user", question)]}
        while given is not None:
            given = self._run(given)
        print()

    def _run(self, given: Any) -> Command[Any] | None:
        """Print what comes from one run of the graph; return the answer to its question."""
        parts: Any = self._agent.stream(
            given, THREAD, stream_mode=["messages", "custom", "updates"]
        )
        reply = None
        for mode, part in parts:
            if mode == "messages" and part[0].type == "AIMessageChunk":
                self._print_chunk(part[0])
            elif mode == "custom":
                self._print_progress(part["content"])
            elif mode == "updates" and "model" in part:
                self._end_answer()
            elif mode == "updates" and "__interrupt__" in part:
                reply = self._ask_person(part["__interrupt__"][0].value["question"])
        self._print_progress("")
        return reply

    def _print_chunk(self, chunk: AIMessage) -> None:
        """Print the text of a piece of the answer at once."""
        self._answer = chunk if self._answer is None else self._answer + chunk
        if chunk.text:
            self._print_progress("")
            self._paragraph = self._paragraph or Paragraph(self.texts["bot"], "green")
            self._paragraph.write(chunk.text)

    def _print_progress(self, text: str) -> None:
        """Print the message before this one: the last one may be the question."""
        if self._progress:
            say(self.texts["workflow"], self._progress, "yellow")
        self._progress = text

    def _ask_person(self, question: str) -> Command[Any]:
        """Show a question of the workflow, and return the answer as the graph takes it."""
        self._progress = ""
        asked, *options = question.split("\n")
        choices = f" ({' / '.join(options)})" if options else ""
        text = self.texts["asks"].format(question=asked + choices)
        say(self.texts["workflow"], text, "yellow")
        return Command(resume=ask(self.texts["you"], self.texts["answer"]))

    def _end_answer(self) -> None:
        """Print what came with an answer: calls, or sources, tokens and suggestions."""
        if self._paragraph:
            self._paragraph.end()
        answer, self._answer, self._paragraph = self._answer, None, None
        for call in answer.tool_calls:
            args = ", ".join(f"{name}={value}" for name, value in call["args"].items())
            text = self.texts["calls"].format(name=call["name"], args=args)
            say(self.texts["bot"], text, "green")
        if not answer.tool_calls:
            self._print_sources(answer)

    def _print_sources(self, answer: AIMessage) -> None:
        texts = self.texts
        for number, document in enumerate(recalled_documents(answer)):
            about = document.metadata
            link = about["source"] if about["source"] != about.get("document_name") else ""
            text = f"{about.get('score', 0):.2f}  {about.get('document_name', '')}  {link}"
            say("" if number else texts["sources"], text, "bold")
        if answer.usage_metadata:
            say(texts["tokens"], texts["used"].format_map(answer.usage_metadata), "dim", "dim")
        for question in answer.response_metadata.get("follow_up_questions", ()):
            say(texts["next"], question, "dim", "dim")


def ask_own_bot(questions: list[str], language: str) -> None:
    """Ask the bot of the environment."""
    texts = TEXTS[language]
    with ChatCoze() as bot:
        print(texts["own"].format(bot_id=bot.bot_id, base_url=bot.base_url) + "\n")
        demo = Demo(bot, [], language)
        ask_all(demo, questions or ([] if sys.stdin.isatty() else [texts["hello"]]))
        if not questions:
            ask_more(demo)


def ask_shop(questions: list[str], language: str) -> None:
    """Ask the bot of the local server, which calls a workflow for a refund."""
    texts = TEXTS[language]
    with serve_shop(language, delay=0.02 if sys.stdout.isatty() else 0) as coze:
        print(texts["local"], texts["account"], "", sep="\n")
        connection = {"api_key": coze.token, "base_url": coze.base_url}
        tool = CozeWorkflowTool.from_workflow(coze.workflows[0].workflow_id, **connection)
        demo = Demo(ChatCoze(bot_id=coze.bots[0].bot_id, **connection), [tool], language)
        ask_all(demo, questions or [texts["first"], texts["second"]])
        paths = [request.path.rpartition("/")[2] for request in coze.requests]
        if not questions:
            print(
                texts["runs"].format(
                    run=paths.count("stream_run"), resume=paths.count("stream_resume")
                )
            )
            ask_more(demo)


def ask_all(demo: Demo, questions: list[str]) -> None:
    """Ask questions that are known before."""
    for question in questions:
        say(demo.texts["you"], question, "cyan")
        demo.ask(question)


def ask_more(demo: Demo) -> None:
    """Let the person at the terminal ask."""
    if sys.stdin.isatty():
        print(demo.texts["yours"])
        while question := ask(demo.texts["you"], ""):
            demo.ask(question)


def main() -> None:
    """Read the command line, and ask the bot of the environment or the local one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lang", choices=sorted(TEXTS), default=find_language())
    parser.add_argument("questions", nargs="*")
    options = parser.parse_args()
    own = all(os.environ.get(name) for name in ("COZE_API_TOKEN", "COZE_BOT_ID"))
    (ask_own_bot if own else ask_shop)(options.questions, options.lang)


if __name__ == "__main__":
    run_quietly(main)
