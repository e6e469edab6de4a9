"""What a Coze bot finds in its knowledge base, as documents, without waiting for its answer.

    python examples/retriever.py
    python examples/retriever.py "A question to your own knowledge base"

Then the documents go to another chat model: Coze searches, whichever model you like answers.
With COZE_API_TOKEN and COZE_BOT_ID set it searches the knowledge base of your bot in Coze.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from _demo_bot import coze_bot
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_coze import ChatCoze, CozeError, CozeRecallRetriever
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge, Pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

QUESTION = "Where does Longjing tea grow? / 龙井茶产自哪里？"
THINKING = 2  # seconds that the local bot takes to answer
TEA = [
    Document(
        "Longjing tea grows on the hills around West Lake in Hangzhou.",
        metadata={"title": "Longjing", "source": "https://example.com/longjing"},
    ),
    Document(
        "龙井茶产自杭州西湖周围的山上。",
        metadata={"title": "龙井茶", "source": "https://example.com/longjing-zh"},
    ),
    Document("Pu'er tea grows in Yunnan.", metadata={"title": "Pu'er"}),
]
PROMPT = ChatPromptTemplate.from_template(
    "Answer from these documents, and name them by number.\n{documents}\nQuestion: {question}"
)


def think(_: str) -> Iterator[Pause | str]:
    """Answer as a bot on the local server, after a while."""
    yield Pause(THINKING)
    yield "From the hills of Hangzhou. / 产自杭州的山上。"


def quote(prompt: str) -> str:
    """Answer as the other model: quote the first document, or say that there is none."""
    first = next((line for line in prompt.splitlines() if line.startswith("[1] ")), "")
    return f"{first.removeprefix('[1] ')} [1]" if first else "I do not know. / 我不知道。"


def numbered(documents: list[Document]) -> str:
    """Write documents for a prompt."""
    return "\n".join(f"[{n}] {document.page_content}" for n, document in enumerate(documents, 1))


def seconds(asked: Runnable[Any, Any], question: str) -> float:
    """Return how long an answer takes."""
    began = time.perf_counter()
    asked.invoke(question)
    return time.perf_counter() - began


def search(bot: ChatCoze, question: str) -> CozeRecallRetriever:
    """Show what is found, and how soon."""
    retriever = CozeRecallRetriever(bot_id=bot.bot_id, api_key=bot.api_key, base_url=bot.base_url)
    for document in retriever.invoke(question):
        about = document.metadata
        print(f"  {about['rank']}. {about.get('score', 0):.2f}  {document.page_content}")
        print(f"     {about.get('document_name')}  {about.get('link') or ''}")

    best = retriever.invoke(question, k=1, score_threshold=0.2)
    print("k=1, score_threshold=0.2:", *(document.page_content for document in best))

    # A bot that is silent after its recall may recall more: it is waited for a little.
    at_once = retriever.model_copy(update={"recall_grace": 0})
    took = seconds(retriever, question), seconds(at_once, question), seconds(bot, question)
    print("\nDocuments / 文档: {:.3f} s, recall_grace=0: {:.3f} s".format(*took))
    print(f"The bot's own answer / 智能体自己的回答: {took[2]:.3f} s\n")
    return retriever


def answer(retriever: CozeRecallRetriever, model: BaseChatModel, question: str) -> str:
    """Have another model answer from the documents."""
    found = {"documents": retriever | numbered, "question": RunnablePassthrough()}
    chain = found | PROMPT | model | StrOutputParser()
    return chain.invoke(question)


def main() -> None:
    """Search, then answer."""
    question = " ".join(sys.argv[1:]) or QUESTION
    library = LocalBot(think, name="library", knowledge=LocalKnowledge(TEA, name="tea"))
    with coze_bot(library) as bot, LocalCoze(quote) as other:
        print(f"> {question}\n")
        retriever = search(bot, question)
        # Any chat model goes here, for instance init_chat_model("deepseek:deepseek-chat").
        model = ChatCoze(bot_id=other.bots[0].bot_id, api_key=other.token, base_url=other.base_url)
        print("retriever | prompt | model:", answer(retriever, model, question))


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
