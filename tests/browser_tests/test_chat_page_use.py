"""The page of the local server in a browser: typing, stopping, and bad days."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from langchain_coze.local import LocalBot, LocalCoze
from tests.browser_tests import chat_bots
from tests.browser_tests.chat_bots import BOTS, MEGABYTE, WORKFLOWS
from tests.browser_tests.chat_page import ChatPage, compose
from tests.browser_tests.conftest import Open
from tests.conftest import find_free_port, serve, wait_until

coze = serve(BOTS, workflows=WORKFLOWS)
TABS = 100
SEND = "(node, i) => { node.value = `tab ${i}`; node.form.requestSubmit(); }"


def count_chats(coze: LocalCoze) -> int:
    return sum(request.path == "/v3/chat" for request in coze.requests)


def test_enter_of_an_input_method_does_not_send(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url))
    compose(chat.input, "你好")
    assert (chat.turns.count(), count_chats(coze)) == (0, 0)
    expect(chat.input).to_have_value("你好")
    chat.input.press("Shift+Enter")
    chat.page.keyboard.insert_text("世界")
    chat.input.press("Enter")
    expect(chat.last).to_contain_text("You said: 你好\n世界")
    assert count_chats(coze) == 1


def test_an_answer_is_stopped_and_the_conversation_goes_on(
    coze: LocalCoze, open_page: Open
) -> None:
    chat = ChatPage(open_page(coze.base_url))
    chat.pick("endless")
    for button in ("Stop", ""):
        chat.send("Go")
        expect(chat.last).to_contain_text("1 2 3")
        if button:
            chat.page.get_by_role("button", name=button).click()
        else:
            chat.page.keyboard.press("Escape")
        expect(chat.last).to_contain_text("Stopped.")
        wait_until(lambda: coze.requests[-1].path == "/v3/chat/cancel")
    first, second = (r for r in coze.requests if r.path == "/v3/chat")
    assert not first.query
    assert second.query["conversation_id"]
    expect(chat.page.get_by_role("button", name="Send")).to_be_visible()


def test_a_question_just_before_the_end_is_sent(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url))
    chat.pick("linger")
    for word in ("first", "second", "third"):
        chat.send(word)
        expect(chat.last).to_contain_text(f"You said: {word}")
    assert chat.turns.count() == count_chats(coze) == 3


def test_two_tabs_are_two_conversations(coze: LocalCoze, open_page: Open) -> None:
    first = ChatPage(open_page(coze.base_url))
    tab = first.page.context.new_page()
    tab.goto(coze.base_url)
    second = ChatPage(tab)
    first.send("red")
    second.send("blue")
    for chat, word in ((first, "red"), (second, "blue")):
        chat.wait_for_end()
        chat.send("again")
        expect(chat.last).to_contain_text(f"You said: {word} | again")
    first.page.get_by_role("button", name="New").click()
    first.send("fresh")
    expect(first.last.locator(".body")).to_have_text("You said: fresh")


def test_everything_works_from_the_keyboard(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url))
    press = chat.page.keyboard.press
    expect(chat.input).to_be_focused()
    chat.page.keyboard.type("Hi")
    press("Enter")
    expect(chat.last).to_contain_text("You said: Hi")
    for _ in range(40):
        press("Shift+Tab")
        if chat.page.evaluate("document.activeElement.textContent").startswith("book"):
            break
    press("Enter")
    dock = chat.page.locator(".dock")
    expect(dock.get_by_label("city")).to_be_focused()
    chat.page.keyboard.type("Suzhou")
    press("Enter")
    expect(chat.last.get_by_label("guest")).to_be_focused()
    chat.page.keyboard.type("Ada")
    press("Enter")
    expect(chat.last.get_by_role("button", name="yes", exact=True)).to_be_focused()
    press("Enter")
    expect(chat.last).to_contain_text('"booked": "yes"')


def test_the_server_stops_in_the_middle_and_comes_back(open_page: Open) -> None:
    port = find_free_port()
    with LocalCoze(BOTS, port=port, stop_timeout=0) as coze:
        chat = ChatPage(open_page(coze.base_url))
        chat.pick("endless")
        chat.send("Go")
        expect(chat.last).to_contain_text("1 2 3")
    expect(chat.last.get_by_role("alert")).to_contain_text(
        "The connection broke before the answer was complete"
    )
    expect(chat.last).to_contain_text("1 2 3")
    notice = chat.page.locator("#notice")
    expect(notice).to_contain_text("No connection to the server")
    chat.pick("remember")
    chat.send("Are you there?")
    expect(chat.last.get_by_role("alert")).to_contain_text("The message was not sent.")
    with LocalCoze(BOTS, port=port):  # with another token
        expect(notice).to_contain_text("The server was restarted.")
        chat.last.get_by_role("button", name="Send again").click()
        expect(chat.last.locator(".body")).to_have_text("You said: Are you there?")


def test_a_restart_between_two_questions_is_told(open_page: Open) -> None:
    port = find_free_port()
    with LocalCoze(BOTS, port=port) as coze:
        chat = ChatPage(open_page(coze.base_url))
        chat.send("before")
        chat.wait_for_end()
    with LocalCoze(BOTS, port=port):
        chat.send("after")
        expect(chat.last).to_contain_text("The server was restarted.")
        expect(chat.last.locator(".text")).to_have_text("You said: after")


def test_a_bot_that_fails_and_a_workflow_that_breaks(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url))
    chat.pick("fail")
    chat.send("Hi")
    failure = chat.last.get_by_role("alert")
    expect(failure).to_contain_text("Error 4014")
    expect(failure).to_contain_text("the model cannot answer")
    expect(chat.last).to_contain_text("I begin, ")
    chat.pick("break_down")
    chat.page.locator(".dock").get_by_label("text").fill("this")
    chat.page.locator(".dock").get_by_role("button", name="Run").click()
    expect(chat.last.get_by_role("alert")).to_contain_text("cannot read this")


def test_faults_of_the_server_are_readable(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url))
    for fault, text in (
        ("error=4028", "Error 4028"),
        ("http_502", "Error 502"),
        ("http_429", "Error 429"),
        ("cut_mid_line", "The connection broke"),
        ("no_done", "The connection broke"),
        ("close", "The message was not sent."),
    ):
        coze.faults = fault
        chat.send(fault)
        expect(chat.last.get_by_role("alert")).to_contain_text(text)
        expect(chat.page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    coze.faults = ()
    chat.send("all is well")
    expect(chat.last).to_contain_text("all is well")


def test_a_server_for_other_machines_asks_for_its_token(open_page: Open) -> None:
    with LocalCoze(LocalBot(chat_bots.remember), any_host=True) as coze:
        page = open_page(coze.base_url)
        token = page.get_by_label("Token of this server")
        token.fill("pat_wrong")
        token.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not the token of the server.")
        page.get_by_label("Token of this server").fill(coze.token)
        page.keyboard.press("Enter")
        chat = ChatPage(page)
        chat.send("Hi")
        expect(chat.last).to_contain_text("You said: Hi")


def test_an_answer_of_a_megabyte(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url))
    chat.pick("write_megabyte")
    chat.send("Go")
    chat.page.locator(".turn[aria-busy=false]").wait_for(timeout=60_000)
    assert chat.last.locator(".text").evaluate("node => node.textContent.length") >= MEGABYTE
    started = time.monotonic()
    chat.pick("remember")
    chat.send("Still quick?")
    expect(chat.last).to_contain_text("You said: Still quick?")
    assert time.monotonic() - started < 10


def test_a_hundred_tabs(coze: LocalCoze, open_page: Open) -> None:
    page = ChatPage(open_page(coze.base_url)).page
    page.set_default_timeout(60_000)
    page.evaluate("count => { window.tabs = Array.from({length: count}, () => open('/')); }", TABS)
    inputs = "tabs.map((tab) => tab.document.querySelector('.composer textarea'))"
    page.wait_for_function(f"() => {inputs}.every(Boolean)")
    # As if all users pressed Enter at once: a browser has six connections for them.
    page.evaluate(f"{inputs}.forEach({SEND})")
    answers = "tabs.map((tab) => tab.document.querySelector('.turn .text')?.textContent)"
    page.wait_for_function(f"() => {answers}.every((text, i) => text === `You said: tab ${{i}}`)")


def test_overlays_of_a_narrow_screen_from_the_keyboard(coze: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(coze.base_url, width=360))
    served, events = chat.page.locator("#served"), chat.page.locator("#events")
    opener = chat.page.get_by_role("button", name="Bots and workflows")
    opener.press("Enter")
    expect(served.locator(".entry").first).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(served).to_be_hidden()
    expect(opener).to_be_focused()
    chat.page.get_by_role("button", name="Raw events").press("Enter")
    expect(events.get_by_role("button", name="Copy")).to_be_focused()
    events.get_by_role("button", name="Close").press("Enter")
    expect(events).to_be_hidden()
