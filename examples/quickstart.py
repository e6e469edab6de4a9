"""Ask a Coze bot, watch the answer arrive, and see its sources, its cost and what to ask next.

    python examples/quickstart.py
    python examples/quickstart.py "How do I test without an account?" "怎么看回答的来源？"

Without an account it starts a local server, whose bot has the documentation of this project as its
knowledge base. With COZE_API_TOKEN and COZE_BOT_ID set it asks your bot in Coze instead.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from _demo_bot import coze_bot
from langchain_core.documents import Document

from langchain_coze import ChatCoze, CozeError, recalled_documents
from langchain_coze.local import LocalBot, LocalKnowledge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import AIMessage

QUESTIONS = ("When is a request repeated?", "没有扣子账号，怎么测试智能体？")
FOLLOW_UPS = {
    "en": ("When should I choose poll mode?", "What does is_retryable tell?"),
    "zh": ("流式输出中断了会怎样？", "轮询模式什么时候用？"),
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ROOT = Path(__file__).parent.parent
NOT_PROSE = re.compile(r"^```.*?^```|^\|.*?$", re.MULTILINE | re.DOTALL)
MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def say(text: str, style: str = "", end: str = "\n") -> None:
    """Print, in colour where rich is installed and a person is looking."""
    if CONSOLE:
        CONSOLE.out(text, style=style or None, end=end, highlight=False)
    else:
        print(text, end=end, flush=True)


try:
    from rich.console import Console

    CONSOLE = Console() if sys.stdout.isatty() else None
except ImportError:
    CONSOLE = None


def docs() -> Iterator[Document]:
    """Give the sections of our own documentation, in English and Chinese."""
    for path in sorted(ROOT.glob("docs/??/*.md")):
        source = path.relative_to(ROOT).as_posix()
        for section in re.split(r"^##? ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            heading, _, text = section.partition("\n")
            prose = MARKUP.sub(r"\1", NOT_PROSE.sub("", text))
            yield Document(prose, metadata={"title": f"{heading} ({source})", "source": source})


def local_bot() -> LocalBot:
    """Make the bot for people without an account; a real one is set up in Coze."""
    return LocalBot(
        name="langchain-coze docs",
        knowledge=LocalKnowledge(docs(), name="langchain-coze docs"),
        follow_ups=lambda question: FOLLOW_UPS["zh" if CHINESE.search(question) else "en"],
        delay=0.02 if sys.stdout.isatty() else 0,
    )


def ask(bot: ChatCoze, question: str) -> None:
    """Stream the answer to one question, then tell what came with it."""
    say(f"> {question}", "bold cyan")
    answer = None
    for chunk in bot.stream(question):
        say(chunk.text, end="")
        answer = chunk if answer is None else answer + chunk
    say("\n")
    if answer is not None:
        tell(answer)


def tell(answer: AIMessage) -> None:
    """Print the sources of an answer, its tokens, and what could be asked next."""
    documents = recalled_documents(answer)
    say("Sources / 来源" if documents else "No sources / 没有来源", "bold")
    for document in documents:
        about = document.metadata
        say(f"  {about.get('score', 0):.2f}  {about.get('document_name') or about.get('source')}")
    if usage := answer.usage_metadata:
        told = "{input_tokens} in + {output_tokens} out = {total_tokens}".format_map(usage)
        say(f"Tokens / 用量\n  {told}", "dim")
    say("Ask next / 还可以问", "bold")
    for follow_up in answer.response_metadata["follow_up_questions"]:
        say(f"  - {follow_up}")
    say("")


def main() -> None:
    """Ask the questions of the command line, or two of our own."""
    with coze_bot(local_bot()) as bot:
        for question in sys.argv[1:] or QUESTIONS:
            ask(bot, question)


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))  # what happened, Coze's code and log id, and what to do
