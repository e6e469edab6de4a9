"""What people and programs paste runs alone: the READMEs, the skill, the pages for LangChain."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import langchain_coze
from langchain_coze.local import LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
SKILL = ROOT / "skills" / "langchain-coze" / "SKILL.md"
LANGCHAIN_PAGES = sorted(ROOT.glob("docs/langchain/*/*.mdx"))
MAX_LINES = 200
FENCE = re.compile(r"^```(\w+)(.*)\n((?s:.*?))^```$", re.MULTILINE)
# Asks a package index for the placeholder of somebody else: `pip install langchain-coze` and kin.
ASKS_FOR_PLACEHOLDER = re.compile(
    r"(?:\bpip3?|\buv|\bpoetry|\bpipx|\bpdm)\s[^\n`]*?\b(?:install|add|run|download|wheel)\b[^\n`]*?"
    r"(?<![\w./\\-])[\"']?langchain[-_]coze(?![\w./-]|[\[\w\]]*-\d)"
)
REMARKS = ("Why is there no", "为什么不能")  # of the FAQ, which warns of it


def list_blocks(page: Path) -> list[tuple[str, str]]:
    """Return the kind and the text of each block, except those that connect to LangSmith."""
    blocks = FENCE.findall(page.read_text("utf-8"))
    return [(kind, text) for kind, title, text in blocks if "Enable tracing" not in title]


def list_programs() -> Iterator[object]:
    """Yield each python block with the text that it prints, if the page shows it."""
    for page in (*READMES, SKILL):
        blocks = [*list_blocks(page), ("", "")]
        for number, (kind, source) in enumerate(blocks):
            if kind == "python":
                after, text = blocks[number + 1]
                printed = text if after == "text" else ""
                yield pytest.param(source, printed, id=f"{page.name}-{number}")
    for page in LANGCHAIN_PAGES:  # here a block may need the ones before it
        blocks = list_blocks(page)
        source = "".join(text for kind, text in blocks if kind == "python")
        printed = "…".join(text for kind, text in blocks if kind == "text")
        yield pytest.param(source, printed, id=f"{page.parent.name}-{page.name}")


@pytest.mark.slow
@pytest.mark.parametrize(("source", "printed"), list_programs())
def test_a_block_runs_alone_in_the_environment_of_a_user(
    source: str, printed: str, tmp_path: Path
) -> None:
    if "from langchain.agents" in source:
        pytest.importorskip("langchain", reason="the dependency group agents is not installed")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COZE_")}
    with LocalCoze() as coze:
        workflows = {workflow.name: workflow.workflow_id for workflow in coze.workflows}
        account = {
            "COZE_API_TOKEN": coze.token,
            "COZE_BOT_ID": coze.bots[0].bot_id,
            "COZE_API_BASE": coze.base_url,
            "COZE_WORKFLOW_ID": workflows["book_room" if "resume" in source else "count_words"],
            "PYTHONIOENCODING": "utf-8",
        }
        if "count_words" in printed:
            account["COZE_WORKFLOW_ID"] = workflows["count_words"]
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", source],
            cwd=tmp_path,
            env=kept | account,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    pattern = ".*?".join(re.escape(part.strip()) for part in printed.split("…"))
    assert re.fullmatch(pattern, done.stdout.rstrip(), re.DOTALL), done.stdout


def test_the_skill_has_the_standard_form() -> None:
    yaml = pytest.importorskip("yaml")
    _, front_matter, body = SKILL.read_text("utf-8").split("---\n", 2)
    fields = yaml.safe_load(front_matter)
    assert set(fields) <= {"name", "description", "license", "compatibility", "metadata"}
    assert fields["name"] == SKILL.parent.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fields["name"])
    assert len(fields["name"]) <= 64
    assert 0 < len(fields["description"]) <= 1024
    assert "Use it when" in fields["description"]
    assert len(body.splitlines()) < 500


@pytest.mark.parametrize(
    "page", [ROOT / "llms.txt", ROOT / "docs" / "langchain" / "README.md"], ids=lambda p: p.name
)
def test_the_links_for_machines_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))
    assert len(links) > 4
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_llms_txt_has_its_form_and_every_page() -> None:
    text = (ROOT / "llms.txt").read_text("utf-8")
    assert re.match(r"# .+\n\n> .+\n\n", text)
    lines = [line for line in text.partition("\n## ")[2].splitlines()[1:] if line]
    assert all(re.fullmatch(r"## .+|- \[.+\]\(.+\): .+", line) for line in lines)
    pages = {path.name for path in ROOT.glob("docs/en/*.md")}
    inner = {"index.md", "connections.md", "studio.md"}
    listed = set(re.findall(r"docs/en/([\w-]+\.md)", text))
    assert {name for name in pages - listed if not name.startswith("local-")} <= inner


@pytest.mark.parametrize("page", LANGCHAIN_PAGES, ids=lambda page: page.parent.name)
def test_a_page_for_langchain_has_the_sections_of_its_template(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.match(
        r'---\ntitle: ".+ integrations?"\ndescription: "Integrate with .+"\n---\n', text
    )
    assert "Install line: waits for the name" in text
    sections = re.findall(r"^## (.+)", text, re.MULTILINE)
    expected = {
        "chat": ["Overview", "Setup", "Instantiation", "Invocation", "API reference"],
        "tools": ["Overview", "Setup", "Instantiation", "Invocation", "API reference"],
        "retrievers": ["Setup", "Instantiation", "Usage", "Use within a chain", "API reference"],
        "providers": ["Installation and setup"],
    }[page.parent.name]
    assert [section for section in sections if section in expected] == expected


def test_the_entries_for_langchain_name_public_classes() -> None:
    yaml = pytest.importorskip("yaml")
    path = ROOT / "docs" / "langchain" / "integration_external_docs.yaml"
    entries = yaml.safe_load(path.read_text("utf-8"))["python"]
    assert entries.keys() == {"chat", "tools", "retrievers"}
    names = [entry["name"] for component in entries.values() for entry in component]
    assert set(names) <= set(langchain_coze.__all__)


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_a_readme_is_short(page: Path) -> None:
    assert page.read_text("utf-8").count("\n") < MAX_LINES


def test_both_readmes_have_the_same_content() -> None:
    english, chinese = (page.read_text("utf-8") for page in READMES)
    for form in (r"^#+ ", r"^\|.*\|$", r"^```\w*$", r"^\* ", r"^!\["):
        counts = [len(re.findall(form, text, re.MULTILINE)) for text in (english, chinese)]
        assert counts[0] == counts[1] > 0, form
    names = [re.findall(r"`\w*Coze\w*[(`]|`create_\w+`", text) for text in (english, chinese)]
    assert names[0] == names[1]
    blocks = zip(list_blocks(READMES[0]), list_blocks(READMES[1]), strict=True)
    for (kind, source), (other_kind, other) in blocks:
        assert kind == other_kind
        if kind == "python":
            assert dump_code(source) == dump_code(other)
        elif kind != "text":
            assert re.sub("#.*", "", source) == re.sub("#.*| --lang zh", "", other)


def dump_code(source: str) -> str:
    """Return a program without comments, and without the texts in the language of its page."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            node.values = sorted(
                (part for part in node.values if not isinstance(part, ast.Constant)), key=ast.dump
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_commands_and_names_of_a_readme_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    commands = re.findall(r"\bmake ([a-z-]+)", text)
    assert set(commands) == {"demo", "test", "docs-site"}
    assert all(re.search(f"^{command}:", makefile, re.MULTILINE) for command in commands)
    table = re.findall(r"^\|.*\| (.*) \|$", text, re.MULTILINE)
    named = set(re.findall(r"\b(?:Chat)?Coze[A-Z]\w+|\bcreate_\w+|\bChatCoze\b", "".join(table)))
    assert named <= set(langchain_coze.__all__)
    assert named > {"ChatCoze", "CozeToolkit", "create_coze_agent", "create_workflow_graph"}


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_a_readme_says_what_was_not_tested_and_its_version(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.search("No session against the hosted service|还没有录制过与线上服务", text)
    assert langchain_coze.__version__ in text


def list_texts() -> list[Path]:
    """Return the files of the repository that people or programs read."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],  # noqa: S607 - git is where we are
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout.splitlines()
    kinds = (".md", ".mdx", ".txt", ".py", ".toml", ".yml", ".yaml", ".json", "Makefile", "/run")
    return [ROOT / name for name in files if name.endswith(kinds) and (ROOT / name).exists()]


def test_no_line_fetches_the_placeholder_of_somebody_else() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in list_texts()
        if path != Path(__file__)
        for line in path.read_text("utf-8", "replace").splitlines()
        if ASKS_FOR_PLACEHOLDER.search(line) and not line.lstrip("# ").startswith(REMARKS)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("pip install langchain-coze", True),
        ('pip install "langchain-coze[local]" pytest', True),
        ("python -m pip install -U langchain_coze", True),
        ("uv add langchain-coze", True),
        ('pip install "langgraph-cli[inmem]" "langchain-coze[local]"', True),
        ("pip install langchain-coze==0.2.0", True),
        ('pip install ".[local]"', False),
        ("pip install ./langchain-coze", False),
        ("pip install dist/langchain_coze-0.2.0-py3-none-any.whl", False),
        ("pip install langchain_coze-0.2.0-py3-none-any.whl", False),
        ("pip install starlette", False),
        ('`pip install ".[local]"`. Not by name: `langchain-coze` is not ours', False),
    ],
)
def test_lines_that_fetch_the_placeholder_are_recognised(line: str, asks: bool) -> None:  # noqa: FBT001 - the expectation
    assert bool(ASKS_FOR_PLACEHOLDER.search(line)) == asks
