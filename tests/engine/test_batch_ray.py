"""`examples/batch_ray.py` on the real engine: workers and drivers that are killed lose nothing."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_coze.local import LocalBot, LocalCoze

pa_parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("ray.data")

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "batch_ray.py"
COLUMNS = ["id", "question", "answer", "error", "usage", "sources"]
TOTAL = 2000
IN_FLIGHT = 2 * 16 * 30  # rows that two workers may have asked without writing them


class Questions:
    """A bot that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.times: list[float] = []
        self._lock = threading.Lock()

    def answer(self, question: str) -> str:
        """Answer as the bot; fail for some questions."""
        with self._lock:
            self.asked[question] += 1
            self.times.append(time.monotonic())
        if question.startswith("fail"):
            raise ValueError(question)
        return f"A {question}"


@pytest.fixture
def questions() -> Questions:
    return Questions()


@pytest.fixture
def coze(questions: Questions) -> Iterator[LocalCoze]:
    with LocalCoze(LocalBot(questions.answer, name="batch")) as server:
        yield server


def write_table(path: Path, questions: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "question"])
        rows.writerows(enumerate(questions))


def start(coze: LocalCoze, folder: Path, qps: float, token: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {
        "COZE_API_BASE": coze.base_url,
        "COZE_API_TOKEN": token or coze.token,
        "COZE_BOT_ID": coze.bots[0].bot_id,
        "PYTHONPATH": str(ROOT),
    }
    options = ["--questions", folder / "table.csv", "--answers", folder / "answers", "--qps", qps]
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, options), "--workers", "2"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(coze: LocalCoze, folder: Path, qps: float = 1000, token: str = "") -> tuple[str, str]:
    with start(coze, folder, qps, token) as process:
        try:
            output, errors = process.communicate(timeout=180)
        finally:
            process.kill()
    return output, errors


def read_rows(folder: Path) -> list[dict[str, Any]]:
    parts = sorted((folder / "answers").glob("*.parquet"))
    tables = [pa_parquet.read_table(part) for part in parts]
    assert all(len(table) <= 30 and table.column_names == COLUMNS for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def find_descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found[1:]


def find_workers(driver: int) -> list[int]:
    names = {pid: read_command(pid) for pid in find_descendants(driver)}
    return [pid for pid, name in names.items() if "MapWorker" in name]


def read_command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def count_rows(folder: Path) -> int:
    return len(read_rows(folder)) if (folder / "answers").exists() else 0


@pytest.mark.timeout(400)
def test_kills_lose_no_written_row(coze: LocalCoze, questions: Questions, tmp_path: Path) -> None:
    texts = [f"问题 {number}" for number in range(TOTAL)]
    write_table(tmp_path / "table.csv", texts)
    with start(coze, tmp_path, qps=150) as driver:  # slow: the workers live on for some seconds
        wait_until(lambda: count_rows(tmp_path) >= 200)
        os.kill(find_workers(driver.pid)[0], signal.SIGKILL)
        wait_until(lambda: count_rows(tmp_path) >= 1000)
        workers = find_workers(driver.pid)
        driver.kill()
        driver.communicate()
    wait_until(lambda: not any(read_command(pid) for pid in workers), 60)
    written = {row["id"] for row in read_rows(tmp_path)}
    asked_before = dict(questions.asked)
    questions.asked.clear()

    output, errors = run(coze, tmp_path)

    left = TOTAL - len(written)
    assert f"{TOTAL} questions, {len(written)} answered before, {left} to ask" in output, errors
    assert f"{left} asked, 0 failed" in output
    rows = read_rows(tmp_path)
    assert [(row["id"], row["question"], row["answer"]) for row in rows] == [
        (number, text, f"A {text}") for number, text in enumerate(texts)
    ]
    assert {texts[number] for number in written}.isdisjoint(questions.asked)
    assert sum(questions.asked.values()) == left
    assert sum(asked_before.values()) - len(written) <= 2 * IN_FLIGHT
    assert "0 to ask" in run(coze, tmp_path)[0]


def test_the_rate_limit_holds_for_all_workers(
    coze: LocalCoze, questions: Questions, tmp_path: Path
) -> None:
    write_table(tmp_path / "table.csv", [f"q{number}" for number in range(120)])
    run(coze, tmp_path, qps=30)
    times = sorted(questions.times)
    assert len(times) == 120
    assert times[-1] - times[0] >= 119 / 30 * 0.95


def test_an_error_stays_with_its_row_and_is_asked_again(
    coze: LocalCoze, questions: Questions, tmp_path: Path
) -> None:
    write_table(tmp_path / "table.csv", ["one", "fail two", "three"])
    assert "3 asked, 1 failed" in run(coze, tmp_path)[0]
    rows = read_rows(tmp_path)
    assert [row["answer"] for row in rows] == ["A one", None, "A three"]
    assert "chat_id" in rows[1]["error"] or "Hint" in rows[1]["error"]
    assert [row["error"] for row in rows[::2]] == [None, None]
    assert rows[0]["usage"]["total_tokens"] > 0
    assert "3 questions, 2 answered before, 1 to ask" in run(coze, tmp_path)[0]
    assert questions.asked == {"one": 1, "fail two": 2, "three": 1}


def test_a_wrong_token_stops_the_run(coze: LocalCoze, questions: Questions, tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", [f"q{number}" for number in range(90)])
    wrong = "pat_" + "wrong" * 8
    output, errors = run(coze, tmp_path, token=wrong)
    assert "COZE_API_TOKEN" in errors
    assert wrong not in output + errors
    assert "Traceback" not in errors
    assert not questions.asked
    assert not read_rows(tmp_path)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("id,text\n1,hi\n", "has no column question"),
        ("id,question\n1,hi\n1,ho\n", "repeated"),
        ("id,question\n,hi\n2,ho\n", "empty"),
    ],
)
def test_a_wrong_table_is_refused(
    coze: LocalCoze, questions: Questions, tmp_path: Path, table: str, problem: str
) -> None:
    (tmp_path / "table.csv").write_text(table, encoding="utf-8")
    errors = run(coze, tmp_path)[1]
    assert problem in errors
    assert "Traceback" not in errors
    assert not questions.asked


def test_answers_of_another_table_are_kept(
    coze: LocalCoze, questions: Questions, tmp_path: Path
) -> None:
    write_table(tmp_path / "table.csv", ["one", "two"])
    run(coze, tmp_path)
    before = read_rows(tmp_path)
    (tmp_path / "table.csv").write_text("id,question\n7,other\n", encoding="utf-8")
    assert "answers to other rows" in run(coze, tmp_path)[1]
    assert read_rows(tmp_path) == before
    assert "other" not in questions.asked
