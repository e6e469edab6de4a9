"""A web chat with a Coze bot: its sources, its tools, and a workflow that asks.

    cd examples/web_chat
    uvicorn app:app --workers 4

Settings are COZE_API_BASE, COZE_API_TOKEN, COZE_BOT_ID and COZE_WORKFLOW_ID. README.md says how to
try it without an account, and how to deploy it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from agent import Event, Graphs, build_graphs, describe_error, read_thread, run_agent, run_workflow
from fastapi import Cookie, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command
from pydantic import BaseModel, Field

from langchain_coze import CozeError

FOLDER = Path(__file__).parent
DATABASE = FOLDER / "threads.sqlite"  # shared by all workers of this machine
HEARTBEAT = 15.0  # seconds of silence that proxies bear
MONTH = 30 * 24 * 3600  # seconds
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the checkpointer of this worker."""
    async with AsyncSqliteSaver.from_conn_string(str(DATABASE)) as saver:
        app.state.saver, app.state.graphs = saver, None
        await saver.setup()
        yield


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/page", StaticFiles(directory=FOLDER / "page"))

Run = Callable[[Graphs, str], AsyncIterator[Event]]
# Nobody can guess a session: whoever has its cookie may read its threads.
Session = Annotated[str, Cookie(pattern=r"^[\w-]{32}$")]
ThreadId = Annotated[str, Field(pattern=r"^[a-z0-9]{8,32}$")]


class Question(BaseModel):
    """A message of the user."""

    thread: ThreadId
    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class WorkflowStart(BaseModel):
    """The inputs of the workflow."""

    thread: ThreadId
    parameters: dict[str, Any]


class Answer(BaseModel):
    """The answer to a question of the workflow, by the id of its interrupt."""

    thread: ThreadId
    of: Literal["agent", "workflow"]
    id: str
    answer: Any


@app.get("/")
async def get_page(request: Request, session: Annotated[str, Cookie()] = "") -> Response:
    """Return the page, and begin a session for a new visitor."""
    response = FileResponse(FOLDER / "page" / "index.html", headers=HEADERS)
    if not re.fullmatch(r"[\w-]{32}", session):
        response.set_cookie(
            "session",
            secrets.token_urlsafe(24),
            max_age=MONTH,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


@app.get("/api/thread/{thread}")
async def get_thread(thread: str, session: Session) -> Response:
    """Return the workflow that users can start, and what a thread held so far."""
    try:
        graphs = await open_graphs()
    except CozeError as error:
        return JSONResponse({"workflow": None, "events": [describe_error(error)]})
    events = await read_thread(graphs, f"{session}/{thread}")
    return JSONResponse({"workflow": graphs.describe_workflow(), "events": events})


@app.post("/api/ask")
async def ask(question: Question, session: Session) -> Response:
    """Ask the bot."""
    user = name_user(session)
    return stream(
        lambda graphs, thread: run_agent(graphs, thread, user, question.text),
        session,
        question.thread,
    )


@app.post("/api/run")
async def run_workflow_alone(start: WorkflowStart, session: Session) -> Response:
    """Run the workflow without the bot."""
    return stream(
        lambda graphs, thread: run_workflow(graphs, thread, start.parameters),
        session,
        start.thread,
    )


@app.post("/api/answer")
async def answer(given: Answer, session: Session) -> Response:
    """Give the answer that the workflow waits for."""
    resume: Command[Any] = Command(resume={given.id: given.answer})
    user = name_user(session)

    def run(graphs: Graphs, thread: str) -> AsyncIterator[Event]:
        if given.of == "agent":
            return run_agent(graphs, thread, user, resume)
        return run_workflow(graphs, thread, resume)

    return stream(run, session, given.thread)


def name_user(session: str) -> str:
    """Return the name of a user for Coze, from which nobody can tell the session."""
    return hashlib.sha256(session.encode()).hexdigest()[:20]


async def open_graphs() -> Graphs:
    """Return the graphs of this worker; a first request that fails is tried again by the next."""
    graphs: Graphs | None = app.state.graphs
    if graphs is None:
        graphs = app.state.graphs = await build_graphs(app.state.saver)
    return graphs


def stream(run: Run, session: str, thread: str) -> StreamingResponse:
    """Return events as they happen; the run is cancelled when the browser leaves."""

    async def iterate() -> AsyncIterator[Event]:
        try:
            graphs = await open_graphs()
        except CozeError as error:
            yield describe_error(error)
        else:
            async for event in run(graphs, f"{session}/{thread}"):
                yield event
        yield Event("done", {})

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would collect it
    return StreamingResponse(encode(iterate()), 200, headers, "text/event-stream")


async def encode(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    """Encode events, with a comment where nothing happens for long."""
    following = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({following}, timeout=HEARTBEAT)
            if not following.done():
                yield ": still there\n\n"
            elif (event := following.result()) is None:
                return
            else:
                following = asyncio.ensure_future(anext(events, None))
                data = json.dumps(event.fields, ensure_ascii=False, default=str)
                yield f"event: {event.kind}\ndata: {data}\n\n"
    finally:
        following.cancel()  # the browser has left: this cancels the graph, and that the bot


@app.exception_handler(HTTPException)
async def show_error(_request: Request, error: HTTPException) -> Response:
    """Return an error as the page reads it."""
    return JSONResponse({"message": error.detail}, error.status_code)
