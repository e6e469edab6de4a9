"""The same code against a self-hosted Coze Studio, played by a local server.

Run it with `python examples/studio.py`. For a Studio of yours give its address as `base_url`, for
instance http://127.0.0.1:8888, and a personal access token from its own pages.
"""

from __future__ import annotations

from langchain_coze import ChatCoze, recalled_documents
from langchain_coze.local import LocalCoze

QUESTION = "What is a Coze workflow?"


def main() -> None:
    """Ask for an answer, its sources, and its token counts."""
    with LocalCoze(profile="studio") as coze:
        bot = ChatCoze(
            bot_id=coze.bots[0].bot_id,
            api_key=coze.token,
            base_url=coze.base_url,
            server="studio",  # only for a loopback address with another port than 8888
        )

        for chunk in bot.stream(QUESTION):
            print(chunk.text, end="", flush=True)
        print("\n")

        answer = bot.invoke(QUESTION)
        for document in recalled_documents(answer):
            print(f"source {document.metadata['score']:.2f}: {document.metadata['source']}")
        print("usage:", answer.usage_metadata)


if __name__ == "__main__":
    main()
