"""The events of a streamed run, put together node by node (wire 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_coze.local.runtime.event_queue import Outbox
from langchain_coze.local.runtime.tokenize import small_pieces
from langchain_coze.local.wire.ids import new_id, stable_id
from langchain_coze.local.workflow_parts import AskInput, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze.local.runtime.workflow_run import Interrupt, WorkflowRun
    from langchain_coze.local.runtime.workflow_stepping import Output
    from langchain_coze.local.wire.cloud import Event

END_NODE, END_ID = "End", "900001"


@dataclass
class Node:
    """A node that says something.

    Attributes:
        title: Its name.
        kind: Its kind, as Studio names it.
        id: Its id in the workflow.
        execute_uuid: The id of this execution of it.
        sequence: How many pieces it has said.
    """

    title: str
    kind: str = "Message"
    id: str = ""
    execute_uuid: str = field(default_factory=new_id)
    sequence: int = 0

    def __post_init__(self) -> None:
        """An id of the form that Coze's editor gives."""
        self.id = self.id or f"1{int(stable_id('node', self.title)) % 100_000:05}"


class RunWriter:
    """Makes events of what a run says.

    Args:
        run: The run.
        streamed: Whether a client reads the events.

    Attributes:
        outbox: Where events go; a run that is resumed gets another one.
        texts: What the output nodes have said, by title.
    """

    def __init__(self, run: WorkflowRun, *, streamed: bool) -> None:
        """Start with nothing said."""
        self._run = run
        self.texts: dict[str, str] = {}
        self._node: Node | None = None
        self.begin(streamed=streamed)

    def begin(self, *, streamed: bool) -> None:
        """Begin another stream."""
        self.outbox = Outbox(wanted=streamed)
        self._said: dict[str, int] = {}

    def say(self, message: Message) -> None:
        """Say a piece of an output node's text."""
        if self._node is not None and self._node.title != message.node_title:
            self.close()
        node = self._node = self._node or Node(message.node_title)
        self.texts[node.title] = self.texts.get(node.title, "") + message.text
        self.outbox.put(self._event(node, message.text, finished=message.finished))
        if message.finished:
            self._node = None

    def close(self) -> None:
        """End the node that is open: that it was the last piece is known only now."""
        if self._node is not None:
            self.outbox.put(self._event(self._node, "", finished=True))
            self._node = None

    def end(self, output: Output) -> Iterator[Event]:
        """The events of the End node: variables in one piece, a text in several."""
        self.close()
        node = Node(END_NODE, END_NODE, END_ID)
        shapes, workflow = self._run.shapes, self._run.workflow
        text = shapes.end_text(workflow, output)
        parts = (small_pieces(text) or [""]) if workflow.gives_text else [text]
        for number, part in enumerate(parts, 1):
            yield self._event(node, part, finished=number == len(parts))

    def ask(self, interrupt: Interrupt) -> None:
        """Say the question, and that the run waits for its answer."""
        self.close()
        is_form = isinstance(interrupt.question, AskInput)
        node = Node("输入", "Input") if is_form else Node("问答", "Question")
        shapes = self._run.shapes
        self.outbox.put(self._event(node, shapes.question_text(interrupt), finished=True))
        self.outbox.put(shapes.interrupt(self._run, interrupt, node))

    def _event(self, node: Node, text: str, *, finished: bool) -> Event:
        shapes = self._run.shapes
        if shapes.counts_on:
            node.sequence = self._said.get(node.id, 0)
            self._said[node.id] = node.sequence + 1
        event = shapes.message(self._run, node, text, finished=finished)
        node.sequence += 1
        return event
