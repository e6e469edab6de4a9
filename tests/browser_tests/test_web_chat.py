"""The web example in a browser, with two workers, against a local server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from langchain_coze.local import ClientTool, LocalBot, LocalCoze, Pause, Reasoning, ServerTool
from tests.browser_tests.chat_bots import HTML, LINE, MEGABYTE, book
from tests.browser_tests.chat_page import OVERFLOWING, PAGE_SIZE, compose
from tests.browser_tests.conftest import Open
from tests.conftest import find_free_port, serve, wait_until

FOLDER = Path(__file__).parent.parent.parent / "examples" / "web_chat"
TEA = "Tea grows on hills.\nAsk about West Lake."


def host(question: str) -> Generator[Any, Any, None]:
    """Do what the question says."""
    if question == "endless":
        for number in range(100_000):
            yield f"{number} "
            yield Pause(0.02)
    if question == "long":
        yield from [LINE * 500] * (MEGABYTE // len(LINE * 500) + 1)
    elif question == "html":
        yield HTML
    elif question == "book":
        yield Reasoning("A room is wanted.")
        yield ServerTool("weather-today", {"city": "杭州"}, {"degrees": 22})
        booked = yield ClientTool("book", {"city": "杭州"})
        yield f"Booked: {booked}"
    else:
        yield f"You said: {question}"


BOT = LocalBot(host, knowledge=[TEA], follow_ups=["And rice?"])
coze = serve(BOT, workflows=book)


@contextmanager
def run_site(folder: Path, coze: LocalCoze, port: int = 0, **settings: str) -> Iterator[str]:
    """Run the example as its README says; yield its address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COZE_")}
    env = kept | {
        "COZE_API_BASE": coze.base_url,
        "COZE_API_TOKEN": coze.token,
        "COZE_BOT_ID": coze.bots[0].bot_id,
        "COZE_WORKFLOW_ID": coze.workflows[0].workflow_id,
    }
    port = port or find_free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", str(port)]
    with (folder / "log").open("w") as log:
        site = subprocess.Popen(command, cwd=folder, env=env | settings, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_up(address), 60, interval=0.1)
        yield address
    finally:
        site.terminate()
        site.wait(20)
    assert "Traceback" not in (folder / "log").read_text("utf-8")


def is_up(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path_factory.mktemp("site") / "web_chat"))


@pytest.fixture(scope="module")
def site(coze: LocalCoze, folder: Path) -> Iterator[str]:
    with run_site(folder, coze) as address:
        yield address


def send(page: Page, question: str) -> None:
    page.get_by_label("Ask a question").fill(question)
    page.keyboard.press("Enter")


def get_last(page: Page, name: str) -> Locator:
    return page.locator(f"#thread .{name}").last


def test_sources_tools_and_a_workflow_that_asks(
    coze: LocalCoze, site: str, open_page: Open
) -> None:
    page = open_page(site)
    send(page, "book")
    expect(page.locator(".reasoning")).to_contain_text("Reasoning")
    expect(page.locator(".call").first).to_contain_text('"degrees": 22')
    expect(page.locator(".progress")).to_contain_text("Looking in 杭州")
    page.get_by_label("guest").fill("李雷")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("button", name="yes", exact=True)).to_be_focused()
    page.reload()  # maybe another worker goes on
    page.get_by_role("button", name="yes", exact=True).click()
    expect(get_last(page, "text")).to_contain_text('Booked: {"booked": "yes"')
    expect(page.locator(".call.done")).to_have_count(2)
    starts = [r for r in coze.requests if r.path == "/v1/workflow/stream_run"]
    assert len(starts) == 1
    send(page, "Where does tea grow?")
    expect(get_last(page, "source")).to_contain_text("Tea grows on hills.")
    expect(get_last(page, "foot")).to_contain_text("tokens")
    page.get_by_role("button", name="And rice?").last.click()
    expect(get_last(page, "text")).to_have_text("You said: And rice?")


def test_the_workflow_alone(site: str, open_page: Open) -> None:
    page = open_page(site, width=360)
    page.get_by_role("button", name="Run book").click()
    page.get_by_label("city").fill("Suzhou")
    page.keyboard.press("Enter")
    page.get_by_label("guest").fill("Ada")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="no", exact=True).click()
    expect(page.locator(".output")).to_contain_text('"booked": "no"')
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("leave", ["stop", "close"])
def test_the_bot_stops_when_the_browser_leaves(
    leave: str, coze: LocalCoze, site: str, open_page: Open
) -> None:
    page = open_page(site)
    send(page, "endless")
    expect(get_last(page, "text")).to_contain_text("1 2 3")
    if leave == "close":
        page.close()
    else:
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#thread")).to_contain_text("Stopped.")
    wait_until(lambda: any(r.path == "/v3/chat/cancel" for r in coze.requests))
    if leave == "stop":
        send(page, "Are you there?")
        expect(get_last(page, "text")).to_have_text("You said: Are you there?")


def test_a_session_is_of_one_user(site: str, open_page: Open) -> None:
    first = open_page(site)
    send(first, "my secret")
    expect(get_last(first, "text")).to_have_text("You said: my secret")
    (cookie,) = first.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    thread = first.evaluate("sessionStorage.getItem('thread')")
    second = open_page(site)
    second.evaluate("thread => sessionStorage.setItem('thread', thread)", thread)
    second.reload()
    expect(second.locator("#thread")).to_contain_text("Ask the bot")
    assert "secret" not in second.content()
    first.reload()
    expect(get_last(first, "text")).to_have_text("You said: my secret")
    path = f"{site}/api/thread/{thread}"
    assert httpx.get(path, trust_env=False).status_code == 422
    assert httpx.get(path, trust_env=False, cookies={"session": "../" * 11}).status_code == 422


def test_enter_of_an_input_method_does_not_send(site: str, open_page: Open) -> None:
    page = open_page(site)
    compose(page.get_by_label("Ask a question"), "你好")
    expect(page.get_by_label("Ask a question")).to_have_value("你好")
    assert page.locator(".question").count() == 0
    page.keyboard.press("Enter")
    expect(get_last(page, "text")).to_have_text("You said: 你好")


def test_an_answer_that_breaks_off_is_told(coze: LocalCoze, site: str, open_page: Open) -> None:
    page = open_page(site)
    coze.faults = "cut_mid_line"
    send(page, "a long question, so that there are many deltas")
    expect(page.get_by_role("alert")).to_contain_text("The stream ended before")
    coze.faults = "failed=4014"
    send(page, "another one")
    expect(page.get_by_role("alert").last).to_contain_text("4014")
    coze.faults = ()
    send(page, "all is well")
    expect(get_last(page, "text")).to_have_text("You said: all is well")


def test_nothing_is_read_as_html(site: str, open_page: Open) -> None:
    page = open_page(site)
    send(page, "html")
    expect(get_last(page, "text")).to_have_text(HTML)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#thread script, #thread b, #thread img").count() == 0


def test_a_wrong_token_is_readable(coze: LocalCoze, folder: Path, open_page: Open) -> None:
    with run_site(folder, coze, COZE_API_TOKEN="pat_wrong") as address:
        page = open_page(address)
        expect(page.get_by_role("alert")).to_contain_text("COZE_API_TOKEN")
        assert "pat_wrong" not in page.content()


def test_a_thread_survives_a_restart(coze: LocalCoze, folder: Path, open_page: Open) -> None:
    port = find_free_port()
    with run_site(folder, coze, port) as address:
        page = open_page(address)
        send(page, "before")
        expect(get_last(page, "text")).to_have_text("You said: before")
    send(page, "Hello?")
    expect(page.get_by_role("alert")).to_contain_text("The connection broke")
    with run_site(folder, coze, port):
        send(page, "after")
        expect(get_last(page, "text")).to_have_text("You said: after")
        page.reload()
        texts = ["You said: before", "You said: after"]
        expect(page.locator(".text")).to_have_text(texts)


def test_an_answer_of_a_megabyte(site: str, open_page: Open) -> None:
    page = open_page(site)
    send(page, "long")
    expect(get_last(page, "foot")).to_contain_text("tokens", timeout=60_000)
    assert get_last(page, "text").evaluate("node => node.textContent.length") >= MEGABYTE


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits(width: int, theme: Any, site: str, open_page: Open) -> None:
    page = open_page(site, width, color_scheme=theme)
    send(page, "Where does tea grow?" + "x" * 200)
    expect(get_last(page, "foot")).to_contain_text("tokens")
    assert page.evaluate(PAGE_SIZE) == [width, 760]
    assert page.evaluate(OVERFLOWING) == []
    background = "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"
    assert (int(page.evaluate(background)) > 200) == (theme == "light")
