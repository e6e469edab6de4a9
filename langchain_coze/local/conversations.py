"""Routes of conversations (wire 5.1)."""

from starlette.responses import Response

from langchain_coze.local.calls import Call, RouteEntry, Site, ok
from langchain_coze.local.chat_request import read_messages, read_meta_data
from langchain_coze.local.problems import Problem
from langchain_coze.local.store import Conversation, SavedTurn

__all__ = ["ConversationRoutes"]

_LONGEST_NAME = 100


class ConversationRoutes:
    """Conversations: the context of chats."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v1/conversation/create", ["POST"], self._create),
            RouteEntry("/v1/conversation/retrieve", ["GET"], self._retrieve),
        ]

    async def _create(self, call: Call) -> Response:
        body = call.body if isinstance(call.body, dict) else {}
        name = body.get("name") or ""
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise Problem(4000, f"name must be a string of at most {_LONGEST_NAME} characters")
        if body.get("bot_id"):
            self._site.bot(str(body["bot_id"]))
        meta_data = read_meta_data(body.get("meta_data"))
        conversation = Conversation(call.owner, name=name, meta_data=meta_data)
        if messages := read_messages(body.get("messages"), saved=True):
            conversation.turns.append(SavedTurn(list(messages)))
        self._site.store.add_conversation(conversation)
        return ok(conversation.as_json(), call)

    async def _retrieve(self, call: Call) -> Response:
        conversation = self._site.store.conversation(call.required("conversation_id"), call.owner)
        return ok(conversation.as_json(), call)
