"""The processes of a run: the server, and one child per integration."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from tests.benchmarks.jobs import Job, Sample

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0  # seconds for one sample
IMPORTS = {
    "ChatCoze": ("langchain_coze", "ChatCoze"),
    "ChatOpenAI": ("langchain_openai", "ChatOpenAI"),
    "ChatMistralAI": ("langchain_mistralai", "ChatMistralAI"),
}


class MissingError(Exception):
    """An integration cannot run here."""


def _start(python: str, arguments: list[str], errors: IO[Any] | None) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an import would compile the sources again
    return subprocess.Popen(
        [python, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


class Child:
    """A process that speaks in lines; killed when it is silent for too long."""

    def __init__(self, python: str, arguments: list[str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close()
        self._process = _start(python, arguments, self._errors)

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def receive(self) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                self._process.kill()
                raise MissingError(f"no answer within {PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:]
            raise MissingError(last[0] if last else "the process ended without a word")
        return line

    def close(self) -> None:
        """Let the process end by itself, then make sure."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


class Fleet:
    """Runs jobs: in the standing child of a client, or in a fresh one."""

    def __init__(self, sdk_python: str) -> None:
        self._sdk_python = sdk_python
        self._stack = ExitStack()
        self._children: dict[str, Child] = {}
        self.missing: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        server = Child(sys.executable, ["tests.benchmarks.server"])
        self._stack.callback(server.close)
        self._port = int(server.receive())

    def close(self) -> None:
        self._stack.close()

    def run(self, client: str, job: Job, *, fresh: bool) -> Sample:
        """Take one sample; an integration that cannot start is noted in `missing`."""
        if client in self.missing:
            return Sample({}, 0, 1, self.missing[client])
        try:
            if job.kind == "import":
                return _import_cost(client)
            if fresh:
                with self._fresh(client) as child:
                    return _ask(child, job)
            return _ask(self._standing(client), job)
        except MissingError as problem:
            return Sample({}, 0, 1, str(problem))

    def dismiss(self) -> None:
        """End the standing children: the next scenario starts with clean ones."""
        for child in self._children.values():
            child.close()
        self._children.clear()

    def _standing(self, client: str) -> Child:
        if client not in self._children:
            self._children[client] = self._open(client)
        return self._children[client]

    @contextlib.contextmanager
    def _fresh(self, client: str) -> Iterator[Child]:
        child = self._open(client)
        try:
            yield child
        finally:
            child.close()

    def _open(self, client: str) -> Child:
        python = self._sdk_python if client == "cozepy" else sys.executable
        if not Path(python).exists():
            self.missing[client] = f"no environment at {Path(python).parent.parent.name}"
            raise MissingError(self.missing[client])
        child = Child(python, ["tests.benchmarks.child", client, str(self._port)])
        try:
            greeting = json.loads(child.receive())
        except MissingError as problem:
            greeting = {"missing": str(problem)}
        if "missing" in greeting:
            child.close()
            self.missing[client] = greeting["missing"]
            raise MissingError(self.missing[client])
        self.versions[client] = greeting["version"]
        return child


def _ask(child: Child, job: Job) -> Sample:
    child.send(json.dumps(job.to_json()))
    return Sample(**json.loads(child.receive()))


def _import_cost(client: str) -> Sample:
    child = Child(sys.executable, ["tests.benchmarks.imports", *IMPORTS[client]])
    try:
        figures = {"us": float(child.receive()), "failed": 0.0}
    finally:
        child.close()
    return Sample(figures, 1, 1)
