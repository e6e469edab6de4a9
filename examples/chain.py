"""A Coze bot in a chain: prompt | bot | text, asked once, streamed, and for several inputs.

Run it with `python examples/chain.py`.
"""

from __future__ import annotations

import sys

from _demo_bot import coze_bot
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_coze import CozeError


def main() -> None:
    """Use one chain in three ways."""
    prompt = ChatPromptTemplate([("human", "What is {topic}?")])
    with coze_bot() as bot:
        chain = prompt | bot | StrOutputParser()

        print("invoke:", chain.invoke({"topic": "the LangChain framework"}))

        print("\nstream:", end=" ")
        for text in chain.stream({"topic": "a Coze workflow"}):
            print(text, end="", flush=True)

        topics = ["a knowledge base in Coze", "error 4015"]
        answers = chain.batch([{"topic": topic} for topic in topics], {"max_concurrency": 2})
        print("\n")
        for topic, answer in zip(topics, answers, strict=True):
            print(f"batch, {topic}: {answer}")


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
