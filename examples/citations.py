"""A bot's answer with numbered sources, from one call: no retriever, no second request.

    python examples/citations.py
    python examples/citations.py "A question to your own bot"

A bot tells which passages it looked up, not which sentence came from which: so the numbers stand
behind the whole answer.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from _demo_bot import coze_bot

from langchain_coze import ChatCoze, CozeError, recalled_documents

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

QUESTIONS = ("What is a Coze workflow?", "怎么发布智能体？")
WIDTH = 60  # characters of a passage that are shown


def citations(answer: AIMessage) -> list[dict[str, Any]]:
    """Return the citations of an answer, each source once, the best first."""
    texts = [block for block in answer.content_blocks if block["type"] == "text"]
    found = (annotation for block in texts for annotation in block.get("annotations", []))
    return [dict(annotation) for annotation in found if annotation["type"] == "citation"]


def ask(bot: ChatCoze, question: str) -> None:
    """Print an answer, its numbers, and the sources that they stand for."""
    answer = bot.invoke(question)
    sources = citations(answer)
    print(f"> {question}\n{answer.text}", *(f"[{n}]" for n in range(1, len(sources) + 1)))
    print("Sources / 来源" if sources else "No sources / 没有来源")
    passages = recalled_documents(answer)
    for number, source in enumerate(sources, 1):
        about = source.get("extras", {})
        print(f"  [{number}] {about.get('document_name')}  {source.get('url') or ''}")
        # One source may have given several passages, each with a score of its own.
        for document in passages:
            if document.metadata.get("source") == about.get("source"):
                text = document.page_content
                print(f"      {document.metadata.get('score', 0):.2f}  {text[:WIDTH]}…")
    print()


def main() -> None:
    """Ask the questions of the command line, or two of our own."""
    with coze_bot() as bot:
        for question in sys.argv[1:] or QUESTIONS:
            ask(bot, question)


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
