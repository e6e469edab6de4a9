"""The page of the local server in a browser: what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from langchain_coze.local import LocalChatflow, LocalCoze, LocalSite
from tests.browser_tests import chat_bots
from tests.browser_tests.chat_bots import BOTS, ENDLESS, HTML, WORKFLOWS, gates
from tests.browser_tests.chat_page import OVERFLOWING, PAGE_SIZE, ChatPage
from tests.browser_tests.conftest import Open
from tests.conftest import serve, wait_until

coze = serve(BOTS, chatflows=LocalChatflow(chat_bots.remember, name="flow"), workflows=WORKFLOWS)
THEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def samples() -> Iterator[LocalCoze]:
    with LocalCoze() as server:
        yield server


@pytest.fixture
def chat(coze: LocalCoze, open_page: Open) -> ChatPage:
    return ChatPage(open_page(coze.base_url))


def test_the_answer_grows_in_steps(chat: ChatPage) -> None:
    chat.pick("step")
    chat.send("Go")
    expect(chat.last).to_contain_text("Waiting for the server")
    shown = ""
    for word in ("one", "two", "three"):
        assert chat.last.get_attribute("aria-busy") == "true"
        gates[word].set()
        shown = f"{shown} {word}".strip()
        expect(chat.last.locator(".text")).to_have_text(shown)
    chat.wait_for_end()
    expect(chat.last.locator(".foot")).to_contain_text("tokens")


def test_sources_have_links_and_follow_ups_are_buttons(samples: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(samples.base_url))
    chat.page.get_by_role("button", name="Workflows in Coze").click()
    chat.wait_for_end()
    source = chat.last.locator(".source").first
    link = source.get_by_role("link", name="Workflows in Coze")
    expect(link).to_have_attribute("href", "https://www.coze.com/open/docs/guides/workflow")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(source).to_contain_text("Local Coze help")
    expect(source).to_contain_text("www.coze.com")
    expect(source).to_contain_text("score 0.")
    expect(source).to_contain_text("takes named parameters")
    chat.last.get_by_role("button", name="How is a knowledge base searched?").click()
    expect(chat.turns).to_have_count(2)
    expect(chat.last.locator(".question")).to_contain_text("How is a knowledge base searched?")
    chat.wait_for_end()


def test_tools_and_reasoning_are_shown_and_a_tool_of_the_client_is_answered(chat: ChatPage) -> None:
    chat.pick("use_tools")
    chat.send("Plan")
    call = chat.last.locator(".call").first
    expect(call).to_contain_text('{"degrees":22}')
    call.locator("summary").click()
    expect(call.locator("pre").first).to_have_text('{\n  "city": "杭州"\n}')
    expect(call.locator("pre").nth(1)).to_have_text('{\n  "degrees": 22\n}')
    chat.last.locator(".reasoning summary").click()
    expect(chat.last.locator(".reasoning")).to_contain_text("First the weather, then the table.")
    chat.last.get_by_label("book_table").fill("table 7")
    chat.last.get_by_role("button", name="Submit").click()
    expect(chat.last).to_contain_text("Your table: table 7")
    expect(chat.last.locator(".call").nth(1)).to_contain_text("table 7")
    expect(chat.last.get_by_role("button", name="And tomorrow?")).to_be_visible()


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_a_workflow_that_asks_is_answered(profile: str, open_page: Open) -> None:
    with LocalCoze(BOTS, workflows=WORKFLOWS, profile=profile) as coze:
        chat = ChatPage(open_page(coze.base_url))
        chat.pick("book")
        dock = chat.page.locator(".dock")
        dock.get_by_label("city").fill("杭州")
        dock.get_by_label("nights").fill("3")
        dock.get_by_label("breakfast").check()
        dock.get_by_role("button", name="Run").click()
        expect(chat.last.locator(".node")).to_contain_text("Looking in 杭州")
        chat.last.get_by_label("guest").fill("李雷")
        chat.last.get_by_role("button", name="Submit").click()
        expect(chat.last).to_contain_text("3 night(s) for 李雷?")
        chat.last.get_by_role("button", name="yes", exact=True).click()
        output = chat.last.locator(".node pre")
        expect(output).to_contain_text('"booked": "yes"')
        expect(output).to_contain_text('"breakfast": true')
        expect(chat.last).to_contain_text("Answered: guest: 李雷")


def test_a_wrong_value_of_a_form_is_named(chat: ChatPage) -> None:
    chat.pick("book")
    dock = chat.page.locator(".dock")
    expect(dock.locator("label", has_text="city")).to_contain_text("required")
    dock.get_by_label("nights").fill("three")
    dock.get_by_role("button", name="Run").click()
    expect(dock.get_by_text("This must not be empty")).to_be_visible()
    expect(dock.get_by_label("city")).to_be_focused()
    dock.get_by_label("city").fill("Hangzhou")
    dock.get_by_role("button", name="Run").click()
    expect(dock.get_by_text("This must not be empty")).to_be_hidden()
    expect(dock.get_by_text("This must be a number")).to_be_visible()
    expect(dock.get_by_label("nights")).to_be_focused()
    assert chat.turns.count() == 0
    dock.get_by_label("nights").fill("1.5")
    dock.get_by_role("button", name="Run").click()
    expect(chat.last.get_by_role("alert")).to_contain_text("parameters.nights")


def test_a_question_of_an_earlier_run_cannot_be_answered(chat: ChatPage) -> None:
    chat.pick("book")
    dock = chat.page.locator(".dock")
    dock.get_by_label("city").fill("Hangzhou")
    for number in (1, 2):
        dock.get_by_role("button", name="Run").click()
        expect(chat.turns).to_have_count(number)
        chat.wait_for_end()
    first, last = chat.turns.first, chat.turns.last
    expect(first.get_by_label("guest")).to_be_disabled()
    expect(first.get_by_role("button", name="Submit")).to_be_disabled()
    expect(first).to_contain_text("This was not answered")
    expect(last.get_by_label("guest")).to_be_enabled()
    last.get_by_label("guest").fill("Ada")
    last.get_by_role("button", name="Submit").click()
    expect(last.get_by_role("button", name="yes", exact=True)).to_be_enabled()


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_a_chatflow_remembers(profile: str, open_page: Open) -> None:
    flow = LocalChatflow(chat_bots.remember, name="flow")
    with LocalCoze(BOTS, chatflows=flow, profile=profile) as coze:
        chat = ChatPage(open_page(coze.base_url))
        chat.pick("flow")
        chat.send("first")
        chat.wait_for_end()
        chat.send("second")
        expect(chat.last).to_contain_text("You said: first | second")


def test_studio_shows_sources_and_tokens(open_page: Open) -> None:
    with LocalCoze(profile="studio") as coze:
        chat = ChatPage(open_page(coze.base_url))
        chat.send("What is a Coze workflow?")
        expect(chat.last.locator(".source").first).to_contain_text("Workflows in Coze")
        expect(chat.last.locator(".foot")).to_contain_text("tokens")


def test_raw_events_stand_beside(chat: ChatPage) -> None:
    chat.send("Hello")
    chat.wait_for_end()
    expect(chat.events.locator("code").first).to_have_text("POST /v3/chat")
    expect(chat.events).to_contain_text("conversation.chat.created")
    chat.events.locator("summary", has_text="conversation.chat.completed").click()
    expect(chat.events.locator("details[open] pre")).to_contain_text('"status": "completed"')
    chat.page.get_by_role("button", name="Raw events").click()
    expect(chat.page.locator("#events")).to_be_hidden()


def test_the_site_agent_and_workflow(open_page: Open) -> None:
    with LocalSite() as site:
        chat = ChatPage(open_page(site.base_url))
        chat.send("What is a Coze workflow?")
        expect(chat.last.locator(".call")).to_contain_text("search_documents")
        chat.wait_for_end()
        chat.send("And a knowledge base?")
        expect(chat.last).to_contain_text("Question 2: ")

    def double(number: int, word: str = "tea") -> dict[str, Any]:
        return {"doubled": number * 2, "word": word}

    with LocalSite(workflow=double) as site:
        chat = ChatPage(open_page(site.base_url))
        chat.page.locator(".dock").get_by_label("number").fill("21")
        chat.page.locator(".dock").get_by_role("button", name="Run").click()
        expect(chat.last.locator(".node pre")).to_contain_text('"doubled": 42')


def test_the_site_agent_is_stopped(open_page: Open) -> None:
    with LocalSite(agent=ENDLESS.reply) as site:
        chat = ChatPage(open_page(site.base_url))
        chat.send("Go")
        expect(chat.last).to_contain_text("1 2 3")
        chat.page.get_by_role("button", name="Stop").click()
        expect(chat.last).to_contain_text("Stopped.")
        wait_until(lambda: any(r.path.startswith("/cancel/") for r in site.requests))


def test_nothing_is_read_as_html(chat: ChatPage) -> None:
    expect(chat.page.locator("#served")).to_contain_text(f"evil {HTML}")
    chat.pick("evil")
    chat.send(f"Tea {HTML}")
    chat.wait_for_end()
    expect(chat.last.locator(".question")).to_contain_text(f"Tea {HTML}")
    expect(chat.last.locator(".body > .text")).to_have_text(HTML)
    expect(chat.last.locator(".call")).to_contain_text(HTML)
    expect(chat.last.get_by_role("button", name=HTML)).to_be_visible()
    expect(chat.last.get_by_role("link", name=HTML)).to_have_attribute(
        "href", "https://tea.example/a"
    )
    assert chat.last.locator(".source a").count() == 1  # javascript: is no link
    chat.events.locator("summary").last.click()
    assert chat.page.locator("#thread script, #thread b, #thread img, #events b").count() == 0
    assert chat.page.evaluate("window.hacked") is None
    with pytest.raises(Exception, match="TrustedHTML"):
        chat.page.evaluate("document.body.innerHTML = '<b></b>'")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_can_be_read(
    width: int, theme: Any, samples: LocalCoze, open_page: Open
) -> None:
    chat = ChatPage(open_page(samples.base_url, width, color_scheme=theme))
    for number in range(1, 4):  # until the thread is longer than the screen
        chat.send("What is a Coze workflow?")
        expect(chat.page.locator(".turn .foot")).to_have_count(number)
        chat.wait_for_end()
    assert chat.page.evaluate(PAGE_SIZE) == [width, 760]
    assert chat.page.evaluate(OVERFLOWING) == []
    contrasts = chat.page.evaluate(CONTRASTS)
    assert min(contrasts.values()) >= 4.5, contrasts
    brightness = chat.page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"
    )
    assert (int(brightness) > 200) == (theme == "light")
    expect(chat.page.locator("#events")).to_be_visible(visible=width == 1280)
    chat.pick("book_room")
    expect(chat.page.locator(".dock").get_by_role("button", name="Run")).to_be_in_viewport()


def test_theme_and_language_are_kept(samples: LocalCoze, open_page: Open) -> None:
    page = open_page(samples.base_url, locale="zh-CN")
    expect(page.get_by_role("button", name="发送")).to_be_visible()
    page.get_by_role("button", name="English", exact=True).click()
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_samples_speak_the_language_of_the_page(samples: LocalCoze, open_page: Open) -> None:
    chat = ChatPage(open_page(samples.base_url, locale="zh-CN"))
    served, title = chat.page.locator("#served"), chat.page.locator("#title")
    expect(served).to_contain_text("根据内置的几篇中英文文档回答问题")
    expect(title).to_have_text("本地示例智能体")
    expect(chat.page).to_have_title("本地示例智能体 · Local Coze")
    expect(chat.page.locator("#profile")).to_have_attribute(
        "title", re.compile("^本服务模拟 coze.cn")
    )
    chat.send("什么是扣子工作流？")
    expect(chat.last.locator(".source").first).to_contain_text("内置帮助文档")
    chat.wait_for_end()
    assert re.search(
        r"0\.[1-9] 秒|不到 0.1 秒|[1-9]\.\d 秒", chat.last.locator(".foot").inner_text()
    )
    chat.pick("book_room")
    dock = chat.page.locator(".dock")
    expect(dock).to_contain_text("酒店所在城市")
    expect(dock.locator("label")).to_contain_text("必填")
    dock.get_by_label("city").fill("苏州")
    dock.get_by_role("button", name="运行").click()
    expect(chat.last.locator(".node")).to_have_text("查找房间正在查找苏州的房间")
    chat.last.get_by_label("guest").fill("李雷")
    chat.last.get_by_role("button", name="提交").click()
    expect(chat.last).to_contain_text("在苏州住 1 晚，确认预订吗？")
    chat.last.get_by_role("button", name="是", exact=True).click()
    expect(chat.last).to_contain_text('"booked": true')
    chat.page.get_by_role("button", name="English", exact=True).click()
    expect(dock).to_contain_text("The city of the hotel.")
    expect(served).to_contain_text("Local Coze bot")
    expect(chat.page.locator("#profile")).to_have_attribute(
        "title", re.compile("^The server plays")
    )
    chat.pick("Local Coze bot")
    expect(title).to_have_text("Local Coze bot")


# The contrast of the texts that matter, by selector (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (color) => {
    const [r, g, b] = [...rgb(color)].map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (rgb(color)[3] === 255) return color;
    }
  };
  const found = {};
  for (const name of ['.text', '.question', '.foot', '.source a', '.passage summary', '.about',
                      '.pill', '.primary', '.bar .quiet', '.label', '.time', '.request code']) {
    const node = document.querySelector(name);
    const pair = [luminance(getComputedStyle(node).color), luminance(background(node))];
    found[name] = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  }
  return found;
}"""
