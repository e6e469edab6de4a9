"""Parse the answer of an agent at coze.site into LangChain message chunks. No I/O.

A stream has frames `{"type": …, "content": {<type>: …}}` (wire section 9.2). The texts of one model
message have the same `msg_id`; the end of a message is not always reported. Unknown frames are
ignored, because the owner of a project may add some. The reply of `/run` and the result of a task
contain LangChain messages, which are parsed here, too.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages.ai import UsageMetadata, add_usage

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.error_codes import make_truncated_error
from langchain_coze._api.models import Usage, parse_json
from langchain_coze._api.site_errors import make_event_error
from langchain_coze._api.sse import Decoder
from langchain_coze._chat.assembly import AnswerAssembler
from langchain_coze._convert.chunks import build_text_chunk
from langchain_coze._convert.from_coze import to_usage_metadata
from langchain_coze._site.delta_pattern import DeltaPattern
from langchain_coze.errors import CozeError, CozeInvalidRequestError

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGenerationChunk

Frame = Mapping[str, Any]

_NO_KEY = object()
_SUCCESS = "0"
_CALL_BLOCKS = frozenset({"tool_use", "function_call", "tool_call", "input_json_delta"})


class SiteAnswerParser:
    """Returns the answer of one turn as message chunks.

    Attributes:
        ids: `session_id`, `run_id`, `reply_id` and `logid`, as far as known.
        texts: The texts of the chunks so far.
        is_finished: Whether the server has reported the end of the turn, including an error.
    """

    def __init__(
        self,
        model_name: str,
        ids: Mapping[str, str],
        *,
        token: str = "",
        single_chunk: bool = False,
        is_session_kept: bool = False,
    ) -> None:
        """Create a parser for one turn.

        Args:
            model_name: The name of the project, reported in `response_metadata`.
            ids: The ids that are known before the answer.
            token: The token to mask in errors.
            single_chunk: Whether to return one chunk at the end.
            is_session_kept: Whether the session will be used again even if the turn fails. Its
                memory then contains the question, which must not be sent again.
        """
        self.ids = dict(ids)
        self.texts: list[str] = []
        self.is_finished = False
        self._token = token
        self._single_chunk = single_chunk
        self._is_session_kept = is_session_kept
        self._decoder = Decoder()
        metadata = ChainMap(self.ids, {"model_name": model_name})
        self._assembler = AnswerAssembler(metadata, single_chunk=single_chunk, reuses_ids=True)
        self._thinking: set[str] = set()  # the open answers that have only reasoning so far
        self._has_frames = False
        self._has_output = False
        self._pattern = DeltaPattern()
        self._is_plain_delta = False  # the last frame has only text of the first answer
        self._usage: UsageMetadata | None = None
        self._error: CozeError | None = None

    @property
    def is_done(self) -> bool:
        """Whether no more events follow: always after the end."""
        return self.is_finished

    @property
    def succeeded(self) -> bool:
        """Whether the turn has ended without an error."""
        return self.is_finished and self._error is None

    # --- Input ---------------------------------------------------------------------------------

    def feed(self, data: bytes) -> Sequence[ChatGenerationChunk]:
        """Parse the next bytes of a stream and return the chunks they produce.

        An error is raised only by `finish`, so that earlier text is emitted first.
        """
        is_whole = self._decoder.at_event_boundary
        if is_whole and (text := self._pattern.match(data)):
            self.texts.append(text)
            return (build_text_chunk(text),)
        events = self._decoder.feed(data)
        for event in events:
            if self.is_finished:
                break
            self._handle_frame(event.data)
        chunks = self._take_chunks()
        is_whole = is_whole and self._decoder.at_event_boundary
        if is_whole and len(events) == len(chunks) == 1 and self._is_plain_delta:
            self._pattern.learn(data, chunks[0].text)
        return chunks

    def feed_state(self, messages: Sequence[Any]) -> None:
        """Parse the messages of a whole turn, without its question."""
        humans = [n for n, m in enumerate(messages) if _get(m, "type") in {"human", "user"}]
        for message in messages[humans[-1] + 1 if humans else 0 :]:
            self._read_message(message)
        self.is_finished = True

    def handle_connection_lost(self, error: CozeError) -> None:
        """Keep the error of a lost connection for `finish`, unless the turn has already ended."""
        if not self.is_finished:
            self._keep_error(error)

    def finish(self) -> Iterator[ChatGenerationChunk]:
        """Yield the last chunks."""
        if not self.is_finished and self._error is None:
            self._keep_error(self._make_truncated_error())
        if self._error is None:
            self._assembler.add_last_chunk(
                {"finish_reason": "stop"}, parse_json, usage_metadata=self._usage
            )
        else:
            self._assembler.finish_open()
        yield from self._take_chunks()
        if self._error is not None:
            raise self._error

    # --- Frames --------------------------------------------------------------------------------

    def _handle_frame(self, payload: bytes) -> None:
        frame = parse_json(payload)
        if not isinstance(frame, dict):
            if payload.lstrip().startswith(b"{"):  # otherwise a marker added by the project's owner
                self._fail(make_truncated_error("The stream has a frame that is not JSON."))
            return
        kind = str(frame.get("type"))
        handler = self._HANDLERS.get(kind)
        if handler is None:
            return
        self._has_frames = True
        self._record_ids({"reply_id": frame.get("reply_id"), "logid": frame.get("log_id")})
        part = _get(frame.get("content"), kind)
        handler(self, part, frame)
        answer_id = self._assembler.plain_answer_id
        is_first_answer = bool(answer_id) and frame.get("msg_id") == answer_id
        self._is_plain_delta = is_first_answer and kind == "answer" and isinstance(part, str)
        if not self._is_plain_delta:
            self._pattern.clear()

    def _record_ids(self, ids: Mapping[str, Any]) -> None:
        for name, value in ids.items():
            if value and isinstance(value, str):
                self.ids.setdefault(name, value)

    def _handle_start(self, part: Any, frame: Frame) -> None:
        del frame
        self._record_ids({"run_id": _get(part, "execute_id")})

    def _handle_answer(self, part: Any, frame: Frame) -> None:
        message_id = str(frame.get("msg_id") or "")
        for block in part if isinstance(part, list) else [part]:
            self._add_content_block(message_id, block)
        if frame.get("finish"):
            self._finish_answer(message_id)

    def _handle_thinking(self, part: Any, frame: Frame) -> None:
        message_id = str(frame.get("msg_id") or "")
        if isinstance(part, str) and part:
            self._add_reasoning(message_id, part)
        if frame.get("finish"):
            self._finish_answer(message_id)

    def _handle_tool_request(self, part: Any, frame: Frame) -> None:
        del frame
        name = str(_get(part, "tool_name") or "")
        parameters = _get(part, "parameters")
        arguments = parameters.get(name, parameters) if isinstance(parameters, dict) else parameters
        if not isinstance(arguments, dict):
            arguments = {} if arguments is None else {"input": arguments}
        call_id = str(_get(part, "tool_call_id") or "")
        self._add_block(
            {"type": "server_tool_call", "id": call_id, "name": name, "args": arguments}
        )

    def _handle_tool_response(self, part: Any, frame: Frame) -> None:
        del frame
        is_success = str(_get(part, "code") or _SUCCESS) == _SUCCESS
        result = {
            "type": "server_tool_result",
            "tool_call_id": str(_get(part, "tool_call_id") or ""),
            "status": "success" if is_success else "error",
            "output": _get(part, "result"),
        }
        self._add_block(result)

    def _handle_end(self, part: Any, frame: Frame) -> None:
        code = _get(part, "code")
        if code is None or str(code) == _SUCCESS:
            self._usage = _read_usage(_get(part, "token_cost"))
            self.is_finished = True
        else:
            self._fail_run(code, _get(part, "message"), frame)

    def _handle_error(self, part: Any, frame: Frame) -> None:
        failure = part if isinstance(part, dict) else frame
        message = failure.get("error_msg") or failure.get("message")
        self._fail_run(failure.get("code"), message, frame)

    def _handle_workflow(self, part: Any, frame: Frame) -> None:
        del part, frame
        message = "This project is a workflow, not an agent."
        self._fail(CozeInvalidRequestError(message, hint=site_hints.WORKFLOW_PROJECT))

    _HANDLERS: ClassVar[Mapping[str, Callable[[Any, Any, Frame], None]]] = {
        "message_start": _handle_start,
        "answer": _handle_answer,
        "thinking": _handle_thinking,
        "tool_request": _handle_tool_request,
        "tool_response": _handle_tool_response,
        "message_end": _handle_end,
        "error": _handle_error,
        "workflow_start": _handle_workflow,
        "workflow_end": _handle_workflow,
    }

    # --- Messages of a state -------------------------------------------------------------------

    def _read_message(self, message: Any) -> None:
        """Parse one serialized LangChain message."""
        kind, content = _get(message, "type"), _get(message, "content")
        if kind == "tool":
            is_error = _get(message, "status") == "error"
            part = {"tool_call_id": _get(message, "tool_call_id"), "result": content}
            self._handle_tool_response({**part, "code": "1" if is_error else _SUCCESS}, {})
        if kind not in {"ai", "AIMessageChunk", "assistant"}:
            return
        message_id = _get(message, "id")
        if isinstance(message_id, str):
            self.ids["reply_id"] = message_id
        frame = {"msg_id": message_id, "finish": True}
        reasoning = _get(_get(message, "additional_kwargs"), "reasoning_content")
        self._handle_thinking(reasoning, {**frame, "finish": False})
        self._handle_answer(content, frame)
        for call in _get(message, "tool_calls") or ():
            name = str(_get(call, "name") or "")
            part = {"tool_call_id": _get(call, "id"), "tool_name": name}
            self._handle_tool_request({**part, "parameters": {name: _get(call, "args")}}, {})
        usage = _read_usage(_get(message, "usage_metadata"))
        self._usage = add_usage(self._usage, usage) if usage else self._usage

    # --- Output --------------------------------------------------------------------------------

    def _take_chunks(self) -> list[ChatGenerationChunk]:
        chunks = self._assembler.take_chunks()
        self.texts += [chunk.text for chunk in chunks]
        return chunks

    def _finish_answer(self, message_id: str) -> None:
        self._thinking.discard(message_id)
        self._assembler.finish_message(message_id, "")

    def _add_text(self, message_id: str, text: str) -> None:
        if not text:
            return
        self._has_output = True
        self._thinking.discard(message_id)
        for thinking_id in list(self._thinking):  # the reasoning of other messages has ended
            self._finish_answer(thinking_id)
        self._assembler.add_text(message_id, text)

    def _add_reasoning(self, message_id: str, text: str) -> None:
        self._has_output = True
        if not self._assembler.get_or_add_answer(message_id).has_text:
            self._thinking.add(message_id)
        self._assembler.add_reasoning(message_id, text)

    def _add_content_block(self, message_id: str, block: Any) -> None:
        """Add a content block of an answer."""
        kind = _get(block, "type")
        text = block if isinstance(block, str) else _get(block, "text")
        reasoning = _get(block, "thinking") or _get(block, "reasoning")
        if isinstance(text, str):
            self._add_text(message_id, text)
        elif block is None:
            return
        elif kind in {"thinking", "reasoning"} and isinstance(reasoning, str):
            self._add_reasoning(message_id, reasoning)
        elif kind not in _CALL_BLOCKS:  # those are in `tool_calls`
            self._has_output = True
            self._assembler.add_block({"type": "non_standard", "value": block})

    def _add_block(self, block: dict[str, Any]) -> None:
        """Add a block that ends all answers before it."""
        self._has_output = True
        self._thinking.clear()
        self._assembler.finish_open()
        self._assembler.add_block(block)

    # --- Errors --------------------------------------------------------------------------------

    def _fail_run(self, code: Any, message: Any, frame: Frame) -> None:
        """End the turn with the error that it reports."""
        may_have_started = self._has_output or self._is_session_kept
        self._fail(
            make_event_error(frame, code, message, self._token, may_have_started=may_have_started)
        )

    def _fail(self, error: CozeError) -> None:
        """End the turn with an error."""
        self._keep_error(error)
        self.is_finished = True

    def _keep_error(self, error: CozeError) -> None:
        """Keep an error for `finish`, with the ids of the turn."""
        self._error = error.with_context(
            run_id=error.run_id or self.ids.get("run_id"),
            session_id=error.session_id or self.ids.get("session_id"),
            logid=error.logid or self.ids.get("logid"),
        )

    def _make_truncated_error(self) -> CozeError:
        if self._has_frames:
            return make_truncated_error("The stream ended before the turn was over.")
        error = make_truncated_error("The project sent an empty stream, or only unknown frames.")
        return error.with_context(hint=site_hints.OTHER_FRAMES)


def _read_usage(counts: Any) -> UsageMetadata | None:
    """Return token counts in LangChain's format; None if they are all zero."""
    usage = {
        "input_count": _get(counts, "input_tokens"),
        "output_count": _get(counts, "output_tokens"),
        "token_count": _get(counts, "total_tokens"),
    }
    return to_usage_metadata(Usage.model_validate(usage))


def _get(value: Any, key: str) -> Any:
    """Return the value of a key; None if `value` is not an object or lacks the key."""
    return value.get(key) if isinstance(value, Mapping) else None
