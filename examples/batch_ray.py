"""Answer a table of questions with a Coze bot, on all machines of a Ray cluster.

    pip install "ray[data]"
    python examples/batch_ray.py --questions questions.csv --answers answers --qps 5 --workers 2

The table (CSV or Parquet) has the columns `id` and `question`. The answers are Parquet files of at
most 30 rows with the columns id, question, answer, error, usage and sources. Row 0 to 29 of the
table are always in part-00000.parquet, and so on. After a crash, run the same command again: only
questions without a written answer are asked. The bot is yours if COZE_API_TOKEN and COZE_BOT_ID are
set, else a sample on a local server.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import ray
import ray.data
from _demo_bot import coze_bot
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_coze import (
    ChatCoze,
    CozeAuthenticationError,
    CozeError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    recalled_documents,
)

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

ROWS = 30  # rows of one part
PARTS = 20  # parts of one Ray task; a worker answers up to 16 parts at a time
# These would fail for every other question, too.
STOPS = (CozeAuthenticationError, CozeNotFoundError, CozePermissionError, CozeQuotaError)
ANSWER_COLUMNS = [
    pa.field("question", pa.string()),
    pa.field("answer", pa.string()),
    pa.field("error", pa.string()),
    pa.field(
        "usage",
        pa.struct([(f"{name}_tokens", pa.int64()) for name in ("input", "output", "total")]),
    ),
    pa.field(
        "sources",
        pa.list_(
            pa.struct([("title", pa.string()), ("source", pa.string()), ("text", pa.string())])
        ),
    ),
]


# --- The table and its parts ---------------------------------------------------------------------


def read_questions(path: Path) -> pa.Table:
    """Read the columns `id` and `question` of a CSV or Parquet file."""
    read = pa.parquet.read_table if path.suffix == ".parquet" else pa.csv.read_csv
    table = read(path)
    if missing := {"id", "question"} - set(table.column_names):
        sys.exit(
            f"{path} has no column {' and '.join(sorted(missing))}: found {table.column_names}."
        )
    ids = table["id"]
    if ids.null_count or len(ids.unique()) < len(ids):
        sys.exit(f"{path}: each row needs an id of its own, but some ids are empty or repeated.")
    return table.select(["id", "question"])


def split_table(table: pa.Table, folder: Path) -> list[dict[str, Any]]:
    """Return the parts of a table: the path of its answers, and its rows."""
    return [
        {
            "path": str(folder / f"part-{start // ROWS:05}.parquet"),
            "rows": table.slice(start, ROWS).to_pylist(),
        }
        for start in range(0, len(table), ROWS)
    ]


def read_answers(path: str) -> dict[Any, dict[str, Any]]:
    """Return the rows of a part that have an answer, by id."""
    if not Path(path).exists():
        return {}
    rows = pa.parquet.read_table(path).to_pylist()
    return {row["id"]: row for row in rows if row["answer"] is not None}


def find_unanswered(part: dict[str, Any], known: dict[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a part that have no answer to the same question among the known ones."""
    if strangers := set(known) - {row["id"] for row in part["rows"]}:
        sys.exit(
            f"{part['path']} holds answers to other rows (id {min(map(str, strangers))}). "
            "Use an empty folder, or the table as it was; new rows go to its end."
        )
    return [
        row for row in part["rows"] if known.get(row["id"], {}).get("question") != row["question"]
    ]


def write_answers(path: str, rows: list[dict[str, Any]], id_type: pa.DataType) -> None:
    """Write a part; a reader sees the whole part or the one before, never a half."""
    schema = pa.schema([pa.field("id", id_type), *ANSWER_COLUMNS])
    unfinished = Path(f"{path}.{time.time_ns()}.tmp")
    pa.parquet.write_table(pa.Table.from_pylist(rows, schema), unfinished)
    unfinished.replace(path)


# --- One rate limit for all workers --------------------------------------------------------------


class Schedule:
    """Hands out the times of the requests; one actor serves all workers."""

    def __init__(self, qps: float) -> None:
        """Allow `qps` requests per second."""
        self.gap = 1 / qps
        self.next = 0.0

    def reserve(self) -> float:
        """Return the seconds to wait before the next request."""
        now = time.monotonic()
        self.next = max(self.next, now) + self.gap
        return self.next - self.gap - now


class SharedRateLimiter(BaseRateLimiter):
    """A LangChain rate limiter that asks the `Schedule`."""

    def __init__(self, schedule: Any) -> None:
        """Take the handle of the actor."""
        self.schedule = schedule

    def acquire(self, *, blocking: bool = True) -> bool:  # noqa: ARG002 - it always waits
        """Wait until the next request may be sent."""
        time.sleep(ray.get(self.schedule.reserve.remote()))
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:  # noqa: ARG002 - as above
        """Wait until the next request may be sent."""
        await asyncio.sleep(await self.schedule.reserve.remote())
        return True


# --- Workers -------------------------------------------------------------------------------------


def describe_answer(message: AIMessage) -> dict[str, Any]:
    """Return the columns of a row that was answered."""
    sources = [
        {
            "title": document.metadata.get("title"),
            "source": document.metadata.get("source"),
            "text": document.page_content,
        }
        for document in recalled_documents(message)
    ]
    return {"answer": message.text, "usage": message.usage_metadata, "sources": sources}


class AnswerParts:
    """Asks the bot the questions of a part and writes the answers; one per worker."""

    def __init__(self, bot: ChatCoze, schedule: Any, id_type: pa.DataType) -> None:
        """Take the bot, the actor of the rate limit, and the type of the ids."""
        self.bot = bot.model_copy(update={"rate_limiter": SharedRateLimiter(schedule)})
        self.id_type = id_type

    async def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """Answer what is missing, write the part, and report the numbers."""
        known = read_answers(part["path"])
        asked = find_unanswered(part, known)
        try:
            answers = await asyncio.gather(*(self.answer(row) for row in asked))
        except STOPS as error:
            return {"asked": 0, "failed": 0, "stop": str(error)}
        known |= {row["id"]: row for row in answers}
        write_answers(part["path"], [known[row["id"]] for row in part["rows"]], self.id_type)
        failed = sum(row["answer"] is None for row in answers)
        return {"asked": len(asked), "failed": failed, "stop": ""}

    async def answer(self, row: dict[str, Any]) -> dict[str, Any]:
        """Ask one question; an error that concerns only this row goes into its column."""
        try:
            return row | describe_answer(await self.bot.ainvoke(row["question"] or ""))
        except STOPS:
            raise
        except CozeError as error:
            return row | {"answer": None, "error": str(error)}


# --- The driver ----------------------------------------------------------------------------------


def answer_table(bot: ChatCoze, table: pa.Table, folder: Path, *, qps: float, workers: int) -> None:
    """Answer all questions of a table that have no written answer yet."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        (part, len(find_unanswered(part, read_answers(part["path"]))))
        for part in split_table(table, folder.resolve())
    ]
    left = sum(unanswered for _, unanswered in parts)
    print(f"{len(table)} questions, {len(table) - left} answered before, {left} to ask", flush=True)
    if not left:
        return
    pending = [part for part, unanswered in parts if unanswered]
    schedule = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Schedule).remote(qps)
    blocks = max(workers, -(-len(pending) // PARTS))
    results = ray.data.from_items(pending, override_num_blocks=min(blocks, len(pending))).map(
        AnswerParts,
        fn_constructor_args=(bot, schedule, table.schema.field("id").type),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=0.1,  # a worker waits for the network most of the time
    )
    began, asked, failed = time.monotonic(), 0, 0
    for part in results.iter_rows():
        if part["stop"]:
            sys.exit(part["stop"])
        asked += part["asked"]
        failed += part["failed"]
        print(f"\r{asked} of {left}", end="", file=sys.stderr, flush=True)
    rate = asked / (time.monotonic() - began)
    print(f"\n{asked} asked, {failed} failed, {rate:.1f} per second, answers in {folder}")


def start_ray() -> None:
    """Start Ray on this machine, or join the cluster of `RAY_ADDRESS`, without its log lines."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray.init(log_to_driver=False, logging_level="error")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    """Read the command line and answer the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=Path, required=True, help="CSV or Parquet")
    parser.add_argument("--answers", type=Path, required=True, help="folder of the answers")
    parser.add_argument("--qps", type=float, required=True, help="requests per second, in total")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    options = parser.parse_args()
    if options.qps <= 0 or options.workers < 1:
        parser.error("--qps must be above 0, and --workers at least 1")
    table = read_questions(options.questions)
    start_ray()
    with coze_bot() as bot:
        answer_table(bot, table, options.answers, qps=options.qps, workers=options.workers)


if __name__ == "__main__":
    main()
