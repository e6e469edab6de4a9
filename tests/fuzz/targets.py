"""What must hold for any bytes that a server sends.

A target takes bytes and raises when the code under test breaks a promise. `atheris` changes the
corpus by coverage of `langchain_coze`.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

from langchain_coze._api.sse import Decoder
from langchain_coze._chat.answer_parser import AnswerParser
from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze._chat.search import RecallParser
from langchain_coze._site.answer_parser import SiteAnswerParser
from langchain_coze._site.run_parser import SiteRunParser
from langchain_coze._workflows.run_parser import RunParser
from langchain_coze.errors import CozeError
from tests.unit_tests.answer_streams import add_chunks, summarize
from tests.unit_tests.test_agreement import WireEvent, check_agreement, serialize

warnings.simplefilter("ignore")


# --- Each parser: bytes in, a result or a CozeError out -------------------------------------------


def read_answer(parser: Any, reads: list[bytes]) -> Any:
    """Return the summed message of a turn."""
    chunks = [chunk for data in reads for chunk in parser.feed(data)]
    return summarize(add_chunks([*chunks, *parser.finish()]))


def read_recalls(reads: list[bytes]) -> Any:
    """Return the recalls of a turn."""
    parser = RecallParser(logid="1")
    for data in reads:
        parser.feed(data)
    return parser.recalls, parser.is_complete


def read_run(reads: list[bytes]) -> Any:
    """Return the run of a workflow, or its question."""
    parser = RunParser(logid="1")
    messages = [message for data in reads for message in parser.feed(data)]
    parser.close()
    return messages, parser.build_interrupt("73"), parser.build_run("73")


def read_site_run(reads: list[bytes]) -> Any:
    """Return the run of a workflow at coze.site."""
    parser = SiteRunParser(logid="1")
    progress = [message for data in reads for message in parser.feed(data)]
    parser.close()
    return progress, parser.outputs, parser.last_output


PARSERS: dict[str, Callable[[list[bytes]], Any]] = {
    "chat": lambda reads: read_answer(AnswerParser("7", logid="1"), reads),
    "chat, fast path": lambda reads: read_answer(FastAnswerParser("7", logid="1"), reads),
    "chat, invoke": lambda reads: read_answer(
        FastAnswerParser("7", logid="1", single_chunk=True), reads
    ),
    "recall": read_recalls,
    "workflow": read_run,
    "site agent": lambda reads: read_answer(SiteAnswerParser("tea", {}), reads),
    "site workflow": read_site_run,
}


def get_outcome(read: Callable[[list[bytes]], Any], reads: list[bytes]) -> Any:
    """Return a result, or the class and text of a CozeError; other errors are failures."""
    try:
        return read(reads)
    except CozeError as error:
        return type(error), error.message


# --- Targets -------------------------------------------------------------------------------------


def split_once(data: bytes) -> list[bytes]:
    """Split bytes at a place that depends on their content alone."""
    place = crc32(data) % (len(data) + 1)
    return [data[:place], data[place:]]


def check_parsers(data: bytes) -> None:
    """Each parser ends with a result or a CozeError, the same wherever a read ends."""
    for name, read in PARSERS.items():
        whole, split = get_outcome(read, [data]), get_outcome(read, split_once(data))
        assert whole == split, f"{name}: {whole!r} != {split!r}"
    plain, fast = (get_outcome(PARSERS[name], [data]) for name in ("chat", "chat, fast path"))
    assert plain == fast, f"fast path: {plain!r} != {fast!r}"


def decode(data: bytes) -> Iterator[WireEvent]:
    """Return the events of a stream."""
    decoder = Decoder()
    for event in [*decoder.feed(data), *decoder.close()]:
        if event.name and "\n" not in event.name:
            yield WireEvent(event.name, event.data)


def has_repeated_keys(data: bytes) -> bool:
    """Return whether an object has a key twice: then JSON does not say which value counts."""
    found = False

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        result = dict(pairs)
        found = found or len(result) < len(pairs)
        return result

    with contextlib.suppress(ValueError):
        json.loads(data.decode("utf-8", "replace"), object_pairs_hook=read, strict=False)
    return found


def check_invoke_and_stream(data: bytes) -> None:
    """`invoke` and the sum of the stream agree on the events of a turn."""
    try:
        events = list(decode(data))
    except CozeError:
        return
    if any(has_repeated_keys(event.data) for event in events):
        return
    check_agreement(events, serialize(events), one_read=bool(crc32(data) % 2))


TARGETS = {"parsers": check_parsers, "agreement": check_invoke_and_stream}
