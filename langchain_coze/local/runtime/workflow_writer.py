"""The events of a streamed run, built node by node (wire 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.text import split_deltas
from langchain_coze.local.wire.workflow_replies import (
    END_NODE,
    END_NODE_ID,
    OutputNode,
    render_output,
)

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
    """Builds the events of a run; one that is resumed gets another queue of `events`."""

    def __init__(self, info: RunDetails, profile: CloudWorkflowProfile, *, streamed: bool) -> None:
        """Start without messages."""
        self._info, self._profile = info, profile
        self._node: OutputNode | None = None
        self.start_stream(streamed=streamed)

    def start_stream(self, *, streamed: bool) -> None:
        """Start another stream."""
        self.events = EventQueue(enabled=streamed)
        self._next_sequences: dict[str, int] = {}

    def write_message(self, message: Message) -> None:
        """Write a message of an output node."""
        if self._node is not None and self._node.title != message.node_title:
            self._close_node()
        node = self._node = self._node or OutputNode(message.node_title)
        texts = self._info.texts
        texts[node.title] = texts.get(node.title, "") + message.text
        self.events.put(self._build_event(node, message.text, finished=message.finished))
        if message.finished:
            self._node = None

    def build_output_events(self, value: Any) -> Iterator[SseEvent]:
        """Yield the events of the End node: variables in one event, a text in several."""
        self._close_node()
        node = OutputNode(END_NODE, END_NODE, END_NODE_ID)
        text = render_output(value, as_text=self._info.returns_text)
        deltas = (split_deltas(text) or [""]) if self._info.returns_text else [text]
        for number, delta in enumerate(deltas, 1):
            yield self._build_event(node, delta, finished=number == len(deltas))

    def write_question(self, question: PendingQuestion) -> None:
        """Write a question, and the interrupt that waits for its answer."""
        self._close_node()
        is_form = question.form is not None
        node = OutputNode("输入", "Input") if is_form else OutputNode("问答", "Question")
        text = self._profile.build_question_text(question)
        self.events.put(self._build_event(node, text, finished=True))
        self.events.put(self._profile.build_interrupt_event(self._info, question, node))

    def _close_node(self) -> None:
        """End the node that is open: only now is it known that its last message was the last."""
        if self._node is not None:
            self.events.put(self._build_event(self._node, "", finished=True))
            self._node = None

    def _build_event(self, node: OutputNode, text: str, *, finished: bool) -> SseEvent:
        if self._profile.continues_sequence:
            node.sequence = self._next_sequences.get(node.id, 0)
            self._next_sequences[node.id] = node.sequence + 1
        event = self._profile.build_message_event(self._info, node, text, finished=finished)
        node.sequence += 1
        return event
