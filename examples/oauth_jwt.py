"""Each user of your service has conversations of their own: an OAuth app with a session per user.

Run it with `python examples/oauth_jwt.py`: it needs no account. With an OAuth app of yours, set
COZE_JWT_OAUTH_CLIENT_ID, COZE_JWT_OAUTH_PRIVATE_KEY_FILE_PATH, COZE_JWT_OAUTH_PUBLIC_KEY_ID and
COZE_BOT_ID.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from langchain_coze import ChatCoze, CozeError, CozeJWTAuth
from langchain_coze.local import LocalBot, LocalCoze, LocalOAuthApp, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator


def remember(question: str, turn: Turn) -> str:
    """Tell what the conversation began with."""
    return f"{question!r}: this conversation began with {turn.messages[0].text!r}."


@contextmanager
def oauth_bot() -> Iterator[tuple[ChatCoze, CozeJWTAuth]]:
    """Give a bot and the OAuth app that may talk to it: yours, or those of a local server."""
    if os.environ.get("COZE_JWT_OAUTH_CLIENT_ID"):
        auth = CozeJWTAuth()  # reads the environment
        yield ChatCoze(api_key=auth), auth
        return
    app = LocalOAuthApp()
    auth = CozeJWTAuth(
        client_id=app.client_id, private_key=app.private_key, public_key_id=app.key_id
    )
    with LocalCoze(LocalBot(remember), oauth_apps=app) as coze:
        print(f"Local Coze server at {coze.base_url}, no account needed / 本地服务，无需账号\n")
        yield ChatCoze(bot_id=coze.bots[0].bot_id, api_key=auth, base_url=coze.base_url), auth


def main() -> None:
    """Talk as two users with one app."""
    with oauth_bot() as (bot, auth):
        # The key and the cache of tokens are shared; each session gets a token of its own.
        ada = bot.model_copy(update={"api_key": auth.for_session("ada")})
        ben = bot.model_copy(update={"api_key": auth.for_session("ben")})

        first = ada.invoke("Hello, I am Ada", auto_save_history=True)
        place = first.response_metadata["conversation_id"]
        print("Ada:", ada.invoke("Who am I?", conversation_id=place).text)
        try:
            print("Ben:", ben.invoke("Who am I?", conversation_id=place).text)
        except CozeError as error:
            print("Ben may not read it:", error.message)


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
