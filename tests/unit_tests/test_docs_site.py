"""The documentation site builds without a warning, its links lead somewhere, its search works."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import langchain_coze
import langchain_coze.local

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("sphinx", reason="the dependency group docs is not installed")

from build_site import find_target, rewrite_links
from chinese_search import split_words
from docstrings import convert_lines
from links import check_links
from navigation import build_toctree

ROOT = Path(__file__).parent.parent.parent
SPHINX = ROOT / "docs" / "sphinx"
LANGUAGES = ("en", "zh")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), ""
)


def read_in_browser(address: str, profile: Path) -> str:
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=15000")
    done = subprocess.run(
        [BROWSER, *options, f"--user-data-dir={profile}", "--dump-dom", address],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=True,
    )
    return done.stdout


def search_in_browser(site_url: str, profile: Path, query: str) -> str:
    path, _, words = query.partition("?q=")
    page = read_in_browser(f"{site_url}/{path}?q={quote(words)}", profile)
    assert "search-summary" in page
    return page.partition('id="search-results"')[2]


# --- The built site ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs-site` does; a warning or a bad link fails it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, SPHINX / "build_site.py", folder],
        capture_output=True,
        encoding="utf-8",
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def site_url(site: Path) -> Iterator[str]:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_navigation_lists_every_page(site: Path, language: str) -> None:
    index = (site / language / "index.html").read_text("utf-8")
    for page in ROOT.glob(f"docs/{language}/*.md"):
        assert f'href="{page.stem}.html"' in index or page.stem == "index"
    assert f'href="./../{"zh" if language == "en" else "en"}/index.html"' in index


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reference_has_every_public_name_and_its_fields(site: Path, language: str) -> None:
    pages = [path.read_text("utf-8") for path in (site / language / "reference").glob("*.html")]
    documented = set(re.findall(r'<dt [^>]*id="langchain_coze\.([\w.]+)"', "".join(pages)))
    public = {name for name in langchain_coze.__all__ if not name.startswith("_")}
    assert public <= documented
    assert documented >= {"ChatCoze.bot_id", "ChatCoze.timeout", "CozeToolkit.get_tools"}
    assert documented >= {f"local.{name}" for name in langchain_coze.local.__all__}
    assert not {"ChatCoze.model_config", "ChatCoze.temperature", "ChatCoze.with_retry"} & documented


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("zh/search.html?q=工作流", "workflows.html"),
        ("zh/search.html?q=怎么处理超时？", "errors.html"),
        ("zh/search.html?q=ChatCoze 会话", "chat.html"),
        ("zh/search.html?q=错误码 4028", "errors.html"),
        ("en/search.html?q=interrupted workflows", "workflows.html"),
        ("en/search.html?q=4028", "errors.html"),
        ("en/search.html?q=SSE", "deployment.html"),
        ("en/search.html?q=certificates of proxies", "deployment.html#proxies-and-certificates"),
        ("zh/search.html?q=多个 worker", "deployment.html#worker"),
    ],
)
def test_the_search_finds_pages_in_a_browser(
    site_url: str, tmp_path: Path, query: str, page: str
) -> None:
    results = search_in_browser(site_url, tmp_path, query)
    found = re.findall(r'<li class="kind-(?:text|title)"><a href="([^"]+)', results)
    assert page == found[0] if "#" in page else page in [link.partition("#")[0] for link in found]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_have_what_a_reader_looks_for(site: Path, language: str) -> None:
    pages = {path.name: path.read_text("utf-8") for path in (site / language).glob("*.html")}
    chat_page, examples = pages["chat-page.html"], pages["examples.html"]
    assert 'href="web_chat.html"' in chat_page  # the README of an example
    assert 'href="examples.html#web-chat-app-py"' in chat_page  # the folder
    assert re.search(r'href="_downloads/\w+/tour\.ipynb"', chat_page)
    assert examples.count("Answer a table of questions with a Coze bot") == 1
    assert 'id="demo-bot-py"' in examples
    assert f'src="_images/demo-{language}.svg"' in pages["index.html"]
    assert 'rel="shortcut icon" href="_static/icon.svg"' in pages["index.html"]
    assert (site / language / "_static" / "copybutton.js").is_file()
    assert "flowchart" not in (site / language / "searchindex.js").read_text("utf-8")
    reference = (site / language / "reference" / "index.html").read_text("utf-8")
    assert "A Coze bot as a LangChain chat model." in reference


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
@pytest.mark.parametrize("word", ["检查点", "超时"])  # the browser cuts both into shorter words
def test_every_page_that_the_search_finds_has_the_whole_word(
    site: Path, site_url: str, tmp_path: Path, word: str
) -> None:
    results = search_in_browser(site_url, tmp_path, f"zh/search.html?q={word}")
    pages = re.findall(r'<li class="kind-text"><a href="([^"#]+)', results)
    assert len(pages) > 2
    assert [page for page in pages if word not in (site / "zh" / page).read_text("utf-8")] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
@pytest.mark.parametrize("words", ["量子化", "ChatCoze 量子化"])  # no page has 子化; many have 化
def test_the_search_finds_no_page_for_a_word_that_no_page_has(
    site_url: str, tmp_path: Path, words: str
) -> None:
    results = search_in_browser(site_url, tmp_path, f"zh/search.html?q={words}")
    assert "没有找到相关页面" in results
    assert "<li" not in results


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
def test_the_page_named_like_the_query_comes_first(site_url: str, tmp_path: Path) -> None:
    results = search_in_browser(site_url, tmp_path, "zh/search.html?q=工作流")
    assert re.findall(r'<li class="kind-\w+"><a href="([^"#]+)', results)[0] == "workflows.html"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
def test_the_start_page_opens_from_a_folder(site: Path, tmp_path: Path) -> None:
    page = read_in_browser((site / "index.html").as_uri(), tmp_path)
    assert "<title>langchain-coze" in page
    assert "Index of" not in page
    assert 'href="overview.html"' in page


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_has_an_llms_txt_whose_links_lead_to_its_pages(site: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (site / "llms.txt").read_text("utf-8"))
    assert {"en/chat.html", "en/index.html", "en/SKILL.md", "en/changelog.html"} <= set(links)
    assert [link for link in links if not (site / link).is_file()] == []


# --- What fails a build --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_warning_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# Title\n\n[gone](#nowhere)\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-c", SPHINX, tmp_path, tmp_path / "out"],
        env={**os.environ, "DOCS_LANGUAGE": "en"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert "'myst' cross-reference target not found: 'nowhere'" in done.stderr


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    other = '<h1 id="there">Title</h1>'
    links = ("b.html", "b.html#there", "b.html#gone", "c.html", "#gone", "https://coze.cn", "#here")
    page = "".join(f'<a href="{link}">link</a>' for link in links)
    page += '<p id="here"><img src="https://example.com/x.png"><script src="b.js"></script>'
    (tmp_path / "a.html").write_text(page, "utf-8")
    (tmp_path / "b.html").write_text(other, "utf-8")
    assert check_links(tmp_path) == [
        "a.html: b.html#gone has no such section",
        "a.html: c.html leads nowhere",
        "a.html: #gone has no such section",
        "a.html: loads https://example.com/x.png from another host",
        "a.html: b.js leads nowhere",
    ]


# --- The parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "page", "target"),
    [
        ("errors.md#classes", "docs/zh/chat.md", "errors.md#classes"),
        ("../wire.md#42-runs", "docs/zh/workflows.md", "wire.md#42-runs"),
        ("../../examples/booking.py", "docs/zh/workflows.md", "examples.md#bookingpy"),
        ("../../examples/langgraph_dev", "docs/en/index.md", "examples.md#langgraph_devgraphpy"),
        ("../../examples/web_chat", "docs/zh/chat-page.md", "examples.md#web_chatapppy"),
        ("../../examples/web_chat/README.zh-CN.md", "docs/zh/chat-page.md", "web_chat.md"),
        ("README.md", "examples/web_chat/README.zh-CN.md", "web_chat.md"),
        ("../../examples/tour.ipynb", "docs/zh/chat-page.md", "tour.ipynb"),
        ("../../README.md#install", "docs/zh/index.md", "index.md"),
        ("docs/architecture.md", "CONTRIBUTING.md", "architecture.md"),
        ("en/errors.md#classes", "docs/performance.md", "errors.md"),
        ("https://www.coze.cn/#x", "docs/zh/chat.md", "https://www.coze.cn/#x"),
        ("#sources", "docs/zh/chat.md", "#sources"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(
    link: str, page: str, target: str, tmp_path: Path
) -> None:
    text = f"[text]({link})\n\n```md\n[text]({link})\n```\n"
    expected = f"[text]({target})\n\n```md\n[text]({link})\n```\n"
    assert rewrite_links(text, page, "zh", tmp_path) == expected


def test_a_file_that_is_no_page_can_be_downloaded(tmp_path: Path) -> None:
    assert find_target("LICENSE", "en", tmp_path) == "LICENSE"
    assert (tmp_path / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert find_target("examples/web_chat/page/chat.js", "en", tmp_path) == "web_chat-page-chat.js"
    with pytest.raises(SystemExit, match=r"docs/gone\.md, which is no file"):
        find_target("docs/gone.md", "en", tmp_path)


def test_pages_without_a_place_come_last_in_the_navigation() -> None:
    toctree = build_toctree("zh", ["chat", "new-page", "index", "wire"])
    assert re.findall(r":caption: (.*)", toctree) == ["智能体", "参考", "更多"]
    assert "接口细节（英文） <wire>" in toctree
    assert toctree.index("chat") < toctree.index("new-page")


def test_docstrings_become_restructured_text() -> None:
    lines = [
        "Ask `Bot`s, see [Coze](https://coze.cn).",
        "",
        "Key init args:",
        "    k: The number",
        "        of documents.",
        "",
        "Args:",
        "    text: A `str`.",
        "",
        "Example:",
        "    ```python",
        "    x = `1`",
        "",
        "    ```",
    ]
    assert convert_lines(lines) == [
        r"Ask ``Bot``\ s, see `Coze <https://coze.cn>`__.",
        "",
        ".. rubric:: Key init args",
        "",
        "- ``k``: The number",
        "  of documents.",
        "",
        "Args:",
        "    text: A ``str``.",
        "",
        "Example:",
        "",
        "    .. code-block:: python",
        "",
        "        x = `1`",
        "",
        "",
    ]


def test_chinese_is_indexed_by_characters_and_pairs() -> None:
    assert list(split_words("用ChatCoze调用工作流 4028")) == [
        *("用", "ChatCoze", "调", "用", "工", "作", "流"),
        *("调用", "用工", "工作", "作流", "n4028"),
    ]
