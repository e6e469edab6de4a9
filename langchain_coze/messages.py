"""LangChain messages to the messages of a Coze request. Pure.

Coze knows two roles, user and assistant (wire section 2.1); Studio refuses all others, and takes an
assistant message without `type: answer` for a question of the user.

Example:
    ```python
    from langchain_core.messages import HumanMessage, SystemMessage

    from langchain_coze.messages import to_coze

    sent, variables = to_coze([SystemMessage("Be brief."), HumanMessage("Hi")])
    assert [(m["role"], m["content"]) for m in sent] == [("user", "Be brief."), ("user", "Hi")]
    assert variables == {}
    ```
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)

from langchain_coze.errors import CozeInvalidRequestError, hint_of
from langchain_coze.notices import warn_user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_MESSAGES = 100
"""How many messages one request takes (wire section 2.1)."""

SystemMessageMode: TypeAlias = Literal["context", "variable", "ignore", "raise"]
EnterMessage: TypeAlias = dict[str, str]


def to_coze(
    messages: Sequence[BaseMessage],
    *,
    system_mode: SystemMessageMode = "context",
    system_variable: str | None = None,
    bot_id: str | None = None,
) -> tuple[list[EnterMessage], dict[str, str]]:
    """Return `additional_messages` for a request, and the prompt variables that go with them.

    Args:
        messages: The conversation so far; the last message is the question.
        system_mode: What becomes of system messages: `context` sends each as a user message of its
            own, before the question; `variable` puts them into a prompt variable of the bot;
            `ignore` drops them; `raise` refuses them.
        system_variable: The name of that variable.
        bot_id: The bot that is asked: answers of other models are told as such.

    Returns:
        At most 100 messages, and the variable of `system_mode="variable"`, if any.

    Raises:
        CozeInvalidRequestError: There is no question, or something in it cannot be sent.
    """
    system = [message for message in messages if _role(message) == "system"]
    variables = _system_variables(system, system_mode, system_variable)
    wanted = messages if system_mode == "context" else [m for m in messages if _role(m) != "system"]
    entered = [
        (_role(message) == "system", entry)
        for message in wanted
        if (entry := _entry(message, bot_id)) is not None
    ]
    sent = [entry for _, entry in _newest(_question_last(entered))]
    if not sent:
        raise CozeInvalidRequestError(
            "There is no message to send.",
            hint=hint_of("Give at least one HumanMessage.", "请至少提供一条 HumanMessage。"),
        )
    if sent[-1]["role"] != "user":
        raise CozeInvalidRequestError(
            "The last message is an answer: there is no question.",
            hint=hint_of(
                "End the messages with a HumanMessage.", "消息列表应以 HumanMessage 结尾。"
            ),
        )
    return sent, variables


def text_map(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a map of strings: what is not a string is written as JSON.

    Args:
        values: For instance `custom_variables` or `meta_data`.

    Raises:
        CozeInvalidRequestError: A value cannot be written as JSON.

    Example:
        ```python
        from langchain_coze.messages import text_map

        assert text_map({"city": "杭州", "days": 3}) == {"city": "杭州", "days": "3"}
        ```
    """
    try:
        return {
            str(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in values.items()
        }
    except (TypeError, ValueError) as error:
        message = f"A value cannot be written as JSON: {error}"
        raise CozeInvalidRequestError(message) from error


def _role(message: BaseMessage) -> str:
    """Return the role of a message: user, assistant, system, tool, or a name of the user's."""
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, ChatMessage):
        return {"human": "user", "ai": "assistant"}.get(message.role, message.role)
    return "tool"


def _entry(message: BaseMessage, bot_id: str | None) -> EnterMessage | None:
    """Return one message as Coze takes it, or None when it says nothing to the bot."""
    role = _role(message)
    text = _text(message)
    if role == "tool":
        return None  # the result of a call that this bot has not made
    if role == "assistant":
        if not text:
            return None  # a bare hand-off
        if not _is_foreign(message, bot_id):
            return _enter("assistant", "answer", text)
        text = f"[{message.name}] {text}"
    elif role not in {"user", "system"}:
        text = f"[{role}] {text}"
    return _enter("user", "question", text)


def _enter(role: str, kind: str, content: str) -> EnterMessage:
    return {"role": role, "type": kind, "content": content, "content_type": "text"}


def _is_foreign(message: BaseMessage, bot_id: str | None) -> bool:
    """Return whether another agent, not this bot, has said this."""
    told = message.response_metadata
    ours = told.get("model_provider") == "coze" and told.get("model_name") == bot_id
    return bool(message.name) and not ours


def _text(message: BaseMessage) -> str:
    """Return the text of a message.

    Raises:
        CozeInvalidRequestError: It has something else besides.
    """
    if isinstance(message.content, str):
        return message.content
    if _role(message) == "user":
        for block in message.content:
            kind = block.get("type") if isinstance(block, dict) else "text"
            if kind not in {"text", "text-plain"}:
                raise CozeInvalidRequestError(
                    f"A message has content of type {kind!r}, which ChatCoze cannot send yet.",
                    hint=hint_of(
                        "Send text, or put a link to the file into the text.",
                        "请发送文本，或在文本中给出文件链接。",
                    ),
                )
    return message.text


def _system_variables(
    system: Sequence[BaseMessage], mode: SystemMessageMode, variable: str | None
) -> dict[str, str]:
    if not system or mode in {"context", "ignore"}:
        return {}
    if mode == "raise":
        raise CozeInvalidRequestError(
            "There is a system message, and system_message_mode is 'raise'.",
            hint=hint_of(
                "A bot's system prompt stands in Coze: change it there, or choose another mode.",
                "智能体的系统提示词在扣子中设置：请在那里修改，或选择其他模式。",
            ),
        )
    if not variable:
        raise CozeInvalidRequestError(
            "system_message_mode='variable' needs system_message_variable.",
            hint=hint_of(
                "Name the prompt variable of the bot that takes the system message.",
                "请指定智能体提示词中接收系统消息的变量名。",
            ),
        )
    return {variable: "\n\n".join(message.text for message in system)}


def _question_last(entered: list[tuple[bool, EnterMessage]]) -> list[tuple[bool, EnterMessage]]:
    """Move system messages from the end to before the question, which drives the recall."""
    last = next((i for i in reversed(range(len(entered))) if not entered[i][0]), None)
    if last is None or entered[last][1]["role"] != "user":
        return entered
    return [*entered[:last], *entered[last + 1 :], entered[last]]


def _newest(entered: list[tuple[bool, EnterMessage]]) -> list[tuple[bool, EnterMessage]]:
    """Return at most 100 messages: all system ones, and the newest others from a question on."""
    over = len(entered) - MOST_MESSAGES
    if over <= 0:
        return entered
    system = sum(is_system for is_system, _ in entered)
    if system >= MOST_MESSAGES:
        raise CozeInvalidRequestError(
            f"There are {system} system messages; Coze takes {MOST_MESSAGES} messages in all.",
            hint=hint_of("Join them into one.", "请合并为一条。"),
        )
    kept: list[tuple[bool, EnterMessage]] = []
    for is_system, entry in entered:
        if is_system:
            kept.append((is_system, entry))
        elif over > 0 or (entry["role"] != "user" and not any(not s for s, _ in kept)):
            over -= 1  # too old, or an answer whose question is gone
        else:
            kept.append((is_system, entry))
    warn_user(
        f"Coze takes at most {MOST_MESSAGES} messages: the oldest {len(entered) - len(kept)} of "
        f"{len(entered)} are not sent. Shorten the history yourself with trim_messages. "
        f"扣子最多接受 {MOST_MESSAGES} 条消息，最早的消息未发送。"
    )
    return kept
