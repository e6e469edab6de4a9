"""A chatflow that asks back: it stops at a question, and goes on with the user's answer.

Run it with `python examples/chatflow.py`. It asks a local server; with a chatflow of yours, give
its `workflow_id`, its `app_id` or `bot_id`, and your token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_coze import ChatCoze
from langchain_coze.local import Ask, LocalChatflow, LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze.local import Turn

APP = "7400000000000000001"


def order(question: str, turn: Turn) -> Iterator[Ask | str]:
    """Take an order on the local server, as a chatflow with two question nodes would."""
    tea = yield Ask("Which tea?", ["Longjing", "Pu'er"])
    size = yield Ask("Which size?", ["small", "large"])
    yield f"{question} One {size} {tea}, coming, {turn.parameters['guest']}."


def main() -> None:
    """Order, and answer what the chatflow asks, until it has no more questions."""
    flow = LocalChatflow(order, name="tea shop", app_id=APP)
    replies = iter(["Longjing", "large"])
    with LocalCoze(chatflows=flow) as coze:
        shop = ChatCoze(
            workflow_id=flow.workflow_id,
            app_id=APP,
            api_key=coze.token,
            base_url=coze.base_url,
            parameters={"guest": "Ada"},
        )
        history: list[BaseMessage] = [HumanMessage("Tea, please.")]
        print("user:", history[-1].text)
        while True:
            answer = shop.invoke(history)
            print("chatflow:", answer.text.replace("\n", " / "))
            if answer.response_metadata["finish_reason"] != "interrupt":
                break
            history += [answer, HumanMessage(next(replies))]
            print("user:", history[-1].text)


if __name__ == "__main__":
    main()
