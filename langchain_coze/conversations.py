"""`CozeConversations`: the conversations that Coze keeps. `send_feedback`: rate an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from pydantic import Field

from langchain_coze import _account_hints as account_hints
from langchain_coze import _runtime
from langchain_coze._api.conversations import (
    clear_conversation,
    create_conversation,
    delete_conversation,
    list_conversations,
    list_messages,
    rename_conversation,
    send_message_feedback,
)
from langchain_coze._api.files import upload_all
from langchain_coze._api.ids import require_id
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._base.connection import CozeConnectionFields
from langchain_coze._convert.stored_messages import to_langchain_messages
from langchain_coze._convert.to_coze import convert_stored, serialize_entries
from langchain_coze._environment import from_env
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeInvalidRequestError,
    CozeNotFoundError,
)

if TYPE_CHECKING:
    from langchain_core.messages import MessageLikeRepresentation

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow

_MAX_NAME_LENGTH = 100
_MAX_REASONS, _MAX_REASON_LENGTH, _MAX_COMMENT_LENGTH = 10, 30, 250
_FEEDBACK_TYPES = ("like", "unlike")


@dataclass(frozen=True, kw_only=True)
class CozeConversation:
    """A conversation that Coze keeps.

    Attributes:
        id: Its id, for `ChatCoze(conversation_id=…)`.
        name: Its name, or an empty string.
        created_at: When it was created, a Unix time in seconds.
        updated_at: When it was changed, or 0 if Coze does not tell.
        section_id: Its newest section, which `clear` replaces.
        meta_data: Pairs that were stored with it.
    """

    id: str
    name: str = ""
    created_at: int = 0
    updated_at: int = 0
    section_id: str = ""
    meta_data: Mapping[str, str] = field(default_factory=dict)


Conversations: TypeAlias = list[CozeConversation]  # the class below has a method `list`
Messages: TypeAlias = "list[BaseMessage]"
ConversationId: TypeAlias = str | CozeConversation


class CozeConversations(CozeConnectionFields):
    """The conversations of a bot that Coze keeps.

    Coze lists only those that this account has created over the API.

    Example:
        ```python
        from langchain_coze import ChatCoze, CozeConversations
        from langchain_coze.local import LocalCoze

        with LocalCoze() as coze:
            account = {"api_key": coze.token, "base_url": coze.base_url}
            conversations = CozeConversations(bot_id=coze.bots[0].bot_id, **account)
            made = conversations.create(name="Travel")
            bot = ChatCoze(bot_id=coze.bots[0].bot_id, conversation_id=made.id, **account)
            bot.invoke("What is a Coze workflow?")
            print([message.type for message in conversations.messages(made)])
            conversations.delete(made)
        ```

    Raises:
        CozeNotFoundError: A conversation does not exist, or belongs to another account.
        CozeError: Any other failure.

    Source: Coze API, conversations and messages (wire sections 5.1 and 5.2).
    """

    bot_id: str | None = Field(default_factory=from_env("COZE_BOT_ID"), coerce_numbers_to_str=True)
    """The bot. Env `COZE_BOT_ID`."""

    def create(
        self, messages: Sequence[MessageLikeRepresentation] = (), name: str | None = None
    ) -> CozeConversation:
        """Create a conversation.

        Args:
            messages: Messages that it begins with; their files are uploaded.
            name: Its name, 1 to 100 characters.

        Raises:
            CozeInvalidRequestError: The name is empty or too long, a message cannot be sent,
                `bot_id` is no id, or the server is a Coze Studio, which ignores the messages.
            CozeError: Any other failure.
        """
        return self._make_driver().run(self._create(messages, name))

    async def acreate(
        self, messages: Sequence[MessageLikeRepresentation] = (), name: str | None = None
    ) -> CozeConversation:
        """Async version of `create`."""
        return await self._make_driver().arun(self._create(messages, name))

    def _create(
        self, messages: Sequence[MessageLikeRepresentation], name: str | None
    ) -> Flow[CozeConversation]:
        draft = convert_stored(_to_messages(messages))
        if name is not None:
            _check_name(name)
        bot_id = require_id("bot_id", self.bot_id) if self.bot_id else None
        if draft and self._is_studio:
            raise CozeInvalidRequestError(
                "A new conversation of Coze Studio cannot have messages.",
                hint=account_hints.STUDIO_MESSAGES,
            )
        files = [file.upload for entry in draft for file in entry.files if file.data]
        file_ids = yield from upload_all(
            files, _runtime.uploaded_file_ids, self.base_url, self._policy
        )
        body = {"bot_id": bot_id, "name": name, "messages": serialize_entries(draft, file_ids)}
        fields = {key: value for key, value in body.items() if value}
        return _read((yield from create_conversation(fields, self._policy)))

    def list(self) -> Conversations:
        """Return the conversations of the bot, newest first, from all pages.

        Raises:
            CozeInvalidRequestError: There is no `bot_id`, or it is no id.
            CozeError: Any other failure.
        """
        return self._make_driver().run(self._list())

    async def alist(self) -> Conversations:
        """Async version of `list`."""
        return await self._make_driver().arun(self._list())

    def _list(self) -> Flow[Conversations]:
        if not self.bot_id:
            raise CozeInvalidRequestError("No bot is set.", hint=account_hints.NO_BOT_FOR_LIST)
        bot_id = require_id("bot_id", self.bot_id)
        return [_read(item) for item in (yield from list_conversations(bot_id, self._policy))]

    def rename(self, conversation: ConversationId, name: str) -> CozeConversation:
        """Rename a conversation and return it.

        Args:
            conversation: The conversation or its id.
            name: Its new name, 1 to 100 characters.

        Raises:
            CozeInvalidRequestError: The name is empty or too long, or `conversation` is no id.
            CozeError: Any other failure.
        """
        return self._make_driver().run(self._rename(conversation, name))

    async def arename(self, conversation: ConversationId, name: str) -> CozeConversation:
        """Async version of `rename`."""
        return await self._make_driver().arun(self._rename(conversation, name))

    def _rename(self, conversation: ConversationId, name: str) -> Flow[CozeConversation]:
        _check_name(name)
        conversation_id = _get_id(conversation)
        fields = yield from rename_conversation(conversation_id, name, self._policy)
        return _read({"id": conversation_id, "name": name, **fields})

    def clear(self, conversation: ConversationId) -> None:
        """Begin a new section: the messages stay, but the bot no longer sees the earlier ones.

        Args:
            conversation: The conversation or its id.

        Raises:
            CozeInvalidRequestError: `conversation` is no id.
            CozeError: Any other failure.
        """
        self._make_driver().run(clear_conversation(_get_id(conversation), self._policy))

    async def aclear(self, conversation: ConversationId) -> None:
        """Async version of `clear`."""
        await self._make_driver().arun(clear_conversation(_get_id(conversation), self._policy))

    def delete(self, conversation: ConversationId) -> None:
        """Delete a conversation with its messages.

        Args:
            conversation: The conversation or its id.

        Raises:
            CozeInvalidRequestError: `conversation` is no id.
            CozeError: Any other failure.
        """
        self._make_driver().run(delete_conversation(_get_id(conversation), self._policy))

    async def adelete(self, conversation: ConversationId) -> None:
        """Async version of `delete`."""
        await self._make_driver().arun(delete_conversation(_get_id(conversation), self._policy))

    def messages(self, conversation: ConversationId) -> Messages:
        """Return the questions and answers, oldest first, from all pages.

        Args:
            conversation: The conversation or its id.

        Returns:
            `HumanMessage`s and `AIMessage`s with Coze's ids. An answer has `conversation_id`,
            `chat_id` and `message_id` in its `response_metadata`, so it can be rated, and a
            `ChatCoze` in thread mode continues the conversation from it.

        Raises:
            CozeInvalidRequestError: `conversation` is no id.
            CozeError: Any other failure.
        """
        return self._make_driver().run(self._list_messages(conversation))

    async def amessages(self, conversation: ConversationId) -> Messages:
        """Async version of `messages`."""
        return await self._make_driver().arun(self._list_messages(conversation))

    def _list_messages(self, conversation: ConversationId) -> Flow[Messages]:
        conversation_id = _get_id(conversation)
        items = yield from list_messages(conversation_id, self._policy)
        return to_langchain_messages(items, conversation_id, self.bot_id or "")

    @property
    def _policy(self) -> RetryPolicy:
        return RetryPolicy(max_retries=self.max_retries)


def send_feedback(
    message: BaseMessage,
    feedback: Literal["like", "unlike"],
    *,
    reason_types: Sequence[str] = (),
    comment: str | None = None,
    model: Any = None,
) -> None:
    """Rate an answer; a later rating replaces an earlier one. Coze shows it in its message log.

    Args:
        message: An `AIMessage` of a turn that Coze has saved.
        feedback: `"like"` or `"unlike"`.
        reason_types: Up to 10 short labels, for instance `["事实性错误"]`.
        comment: Up to 250 characters.
        model: The `ChatCoze` that gave the answer; None for the account of the environment.

    Raises:
        CozeInvalidRequestError: The message or an argument cannot be used; nothing has been sent.
        CozeError: Any other failure, for instance a turn that Coze has not saved.

    Source: Coze API, submit message feedback (wire section 5.2).

    Example:
        ```python
        from langchain_coze import ChatCoze, send_feedback
        from langchain_coze.local import LocalCoze

        with LocalCoze() as coze:
            bot = ChatCoze(
                bot_id=coze.bots[0].bot_id,
                api_key=coze.token,
                base_url=coze.base_url,
                auto_save_history=True,
            )
            answer = bot.invoke("What is a Coze workflow?")
            send_feedback(answer, "like", comment="Short and right.", model=bot)
        ```
    """
    driver, flow = _prepare_feedback(message, feedback, reason_types, comment, model)
    driver.run(flow)


async def asend_feedback(
    message: BaseMessage,
    feedback: Literal["like", "unlike"],
    *,
    reason_types: Sequence[str] = (),
    comment: str | None = None,
    model: Any = None,
) -> None:
    """Async version of `send_feedback`."""
    driver, flow = _prepare_feedback(message, feedback, reason_types, comment, model)
    await driver.arun(flow)


def _prepare_feedback(
    message: BaseMessage,
    feedback: str,
    reason_types: Sequence[str],
    comment: str | None,
    model: Any,
) -> tuple[Driver, Flow[None]]:
    """Return the driver and the flow of a rating; reject what Coze would not accept."""
    body = _build_rating(feedback, reason_types, comment)
    metadata = message.response_metadata if isinstance(message, AIMessage) else {}
    conversation_id, message_id = metadata.get("conversation_id"), metadata.get("message_id")
    if not conversation_id or not message_id:
        raise CozeInvalidRequestError(
            "This message names no answer of a Coze conversation.",
            hint=account_hints.FEEDBACK_MESSAGE,
        )
    conversation_id = require_id("conversation_id", conversation_id)
    message_id = require_id("message_id", message_id)
    connection = CozeConnectionFields() if model is None else model
    if not isinstance(connection, CozeConnectionFields):
        names = (c.__name__ for c in type(model).__mro__)
        name = next(n for n in names if n.isidentifier() and not n.startswith("_"))
        raise CozeInvalidRequestError(
            f"model is of the type {name}, which does not say how to reach Coze.",
            hint=account_hints.CONNECTION,
        )
    policy = RetryPolicy(max_retries=connection.max_retries)
    flow = _send_feedback(conversation_id, message_id, body, policy)
    return connection._make_driver(), flow  # noqa: SLF001 - our own


def _build_rating(feedback: str, reason_types: Any, comment: Any) -> dict[str, Any]:
    """Return the body of a rating."""
    if feedback not in _FEEDBACK_TYPES:
        raise CozeInvalidRequestError(
            f"The feedback is {feedback!r}.", hint=account_hints.FEEDBACK_TYPE
        )
    reasons = [reason_types] if isinstance(reason_types, str) else reason_types
    reasons = list(reasons) if isinstance(reasons, Iterable) else [reasons]
    if not all(isinstance(reason, str) for reason in reasons):
        raise CozeInvalidRequestError(
            f"reason_types={reason_types!r} is not a list of texts.",
            hint=account_hints.FEEDBACK_REASONS,
        )
    if not isinstance(comment, str | None):
        raise CozeInvalidRequestError(
            f"comment={comment!r} is not a text.", hint=account_hints.FEEDBACK_COMMENT
        )
    too_long = [reason for reason in reasons if len(reason) > _MAX_REASON_LENGTH]
    if len(reasons) > _MAX_REASONS or too_long or len(comment or "") > _MAX_COMMENT_LENGTH:
        count = f"{len(reasons)} reason{'' if len(reasons) == 1 else 's'}"
        raise CozeInvalidRequestError(
            f"The feedback is too long: {count}, {len(too_long)} of them too long, "
            f"and a comment of {len(comment or '')} characters.",
            hint=account_hints.FEEDBACK_LIMITS,
        )
    body = {"feedback_type": feedback, "reason_types": reasons, "comment": comment}
    return {key: value for key, value in body.items() if value}


def _send_feedback(
    conversation_id: str, message_id: str, body: Mapping[str, Any], policy: RetryPolicy
) -> Flow[None]:
    try:
        yield from send_message_feedback(conversation_id, message_id, body, policy)
    except CozeAuthenticationError:
        raise
    except (CozeInvalidRequestError, CozeNotFoundError) as error:
        if error.hint and "Studio" in error.hint:
            raise
        raise error.with_context(hint=account_hints.FEEDBACK_SAVED) from error.__cause__


def _read(fields: Mapping[str, Any]) -> CozeConversation:
    pairs = fields.get("meta_data")
    return CozeConversation(
        id=str(fields.get("id") or ""),
        name=str(fields.get("name") or ""),
        created_at=int(fields.get("created_at") or 0),
        updated_at=int(fields.get("updated_at") or 0),
        section_id=str(fields.get("last_section_id") or ""),
        meta_data=dict(pairs) if isinstance(pairs, Mapping) else {},
    )


def _get_id(conversation: ConversationId) -> str:
    value = conversation.id if isinstance(conversation, CozeConversation) else conversation
    return require_id("conversation_id", value)


def _to_messages(messages: Any) -> Messages:
    """Return LangChain messages; a str would be a list of letters."""
    if isinstance(messages, Iterable) and not isinstance(
        messages, str | bytes | Mapping | BaseMessage
    ):
        try:
            return convert_to_messages(messages)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise CozeInvalidRequestError(
                f"messages cannot be read ({type(error).__name__}): {repr(messages)[:200]}",
                hint=account_hints.CONVERSATION_MESSAGES,
            ) from error
    raise CozeInvalidRequestError(
        f"messages={repr(messages)[:200]} is not a list of messages.",
        hint=account_hints.CONVERSATION_MESSAGES,
    )


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME_LENGTH:
        length = f"{len(name)} characters long" if isinstance(name, str) else f"{name!r}"
        raise CozeInvalidRequestError(
            f"The name is {length}.", hint=account_hints.CONVERSATION_NAME
        )
