"""The events of a streamed run, built node by node (wire 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.text import split_deltas
from langchain_coze.local.wire.workflow_replies import END_NODE, END_NODE_ID, OutputNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze.local.wire.events import SseEvent
    from langchain_coze.local.wire.workflow_replies import (
        CloudWorkflowProfile,
        PendingQuestion,
        RunDetails,
    )
    from langchain_coze.local.workflow_parts import Message


class RunWriter:
    """Builds the events of a run.

    Args:
        info: The run.
        profile: The profile of its events.
        streamed: Whether a client streams the events.

    Attributes:
        events: The events; a run that is resumed gets another queue.
        texts: The text of each output node so far, by title.
    """

    def __init__(self, info: RunDetails, profile: CloudWorkflowProfile, *, streamed: bool) -> None:
        """Start without messages."""
        self._info, self._profile = info, profile
        self.texts: dict[str, str] = {}
        self._node: OutputNode | None = None
        self.start_stream(streamed=streamed)

    def start_stream(self, *, streamed: bool) -> None:
        """Start another stream."""
        self.events = EventQueue(enabled=streamed)
        self._next_sequences: dict[str, int] = {}

    def write_message(self, message: Message) -> None:
        """Write a message of an output node."""
        if self._node is not None and self._node.title != message.node_title:
            self.close_node()
        node = self._node = self._node or OutputNode(message.node_title)
        self.texts[node.title] = self.texts.get(node.title, "") + message.text
        self.events.put(self._build_event(node, message.text, finished=message.finished))
        if message.finished:
            self._node = None

    def close_node(self) -> None:
        """End the node that is open: only now is it known that its last message was the last."""
        if self._node is not None:
            self.events.put(self._build_event(self._node, "", finished=True))
            self._node = None

    def build_output_events(self, value: Any) -> Iterator[SseEvent]:
        """Yield the events of the End node: variables in one event, a text in several."""
        self.close_node()
        node = OutputNode(END_NODE, END_NODE, END_NODE_ID)
        text = self._profile.render_output(self._info, value)
        deltas = (split_deltas(text) or [""]) if self._info.returns_text else [text]
        for number, delta in enumerate(deltas, 1):
            yield self._build_event(node, delta, finished=number == len(deltas))

    def write_question(self, question: PendingQuestion) -> None:
        """Write a question, and the interrupt that waits for its answer."""
        self.close_node()
        is_form = question.form is not None
        node = OutputNode("输入", "Input") if is_form else OutputNode("问答", "Question")
        text = self._profile.build_question_text(question)
        self.events.put(self._build_event(node, text, finished=True))
        self.events.put(self._profile.build_interrupt_event(self._info, question, node))

    def _build_event(self, node: OutputNode, text: str, *, finished: bool) -> SseEvent:
        if self._profile.continues_sequence:
            node.sequence = self._next_sequences.get(node.id, 0)
            self._next_sequences[node.id] = node.sequence + 1
        event = self._profile.build_message_event(self._info, node, text, finished=finished)
        node.sequence += 1
        return event
