"""The documentation is true: its code runs, its tables match the code, its languages match.

How a page is run: the ```python blocks of a page, or of a docstring, run in order in one namespace;
`await` may stand at the top level. A ```text block right after a python block is what that block
prints; `…` stands for anything. A function `test_…(local_coze)` is called. The blocks of
`testing.md` are files, whose names stand in their first lines: pytest runs them. A block marked
```python no-run is not run. Servers that a page leaves running are stopped at its end. Nothing
but this machine can be reached.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import dataclasses
import doctest
import importlib
import inspect
import io
import itertools
import pkgutil
import re
import socket
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from pydantic import AliasChoices

import langchain_coze
from langchain_coze import (
    ChatCoze,
    ChatCozeSite,
    CozeError,
    CozeJWTAuth,
    CozeRecallRetriever,
    CozeSiteTool,
    CozeWorkflowTool,
    WorkflowRun,
)
from langchain_coze._api.error_codes import CODES
from langchain_coze._base.bot import PER_CALL_FIELDS
from langchain_coze._base.connection import CozeConnectionFields
from langchain_coze.local import (
    FAULTS,
    SITE_FAULTS,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalSite,
    LocalWorkflow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent.parent
ENGLISH = sorted(ROOT.glob("docs/en/*.md"))
CHINESE = sorted(ROOT.glob("docs/zh/*.md"))
OTHERS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
PAGES = sorted([*ENGLISH, *CHINESE, *OTHERS])
MAX_NOT_RUN = 1  # in each language
MAX_LINES = 400  # of a page
MIGRATING = "migrating.md"  # a page that shows the code of other packages, which does not run
FILES = "testing.md"  # the page whose blocks are files
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def is_readme(page: Path) -> bool:
    """Return whether `test_readme.py` runs the blocks of a page."""
    return page.name.startswith("README")


# --- Pages and their blocks ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block."""

    info: str
    text: str
    line: int

    @property
    def runs(self) -> bool:
        return self.info == "python"


def parse_blocks(text: str) -> list[Block]:
    found: list[Block] = []
    info, begin, lines = "", 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif begin:
            found.append(Block(info, textwrap.dedent("\n".join(lines)), begin))
            begin = 0
        else:
            info, begin, lines = line.strip().removeprefix("```").strip(), number, []
    assert not begin, f"the block of line {begin} has no end"
    return found


def list_lines_outside_blocks(path: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return text.splitlines()


def get_page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run_block(block: Block, namespace: dict[str, Any], where: str, runner: asyncio.Runner) -> str:
    """Run a block and return what it prints."""
    source = "\n" * block.line + block.text  # so that tracebacks show the line of the page
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, where, "exec", flags=flags, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = eval(code, namespace)  # noqa: S307 - our own documentation
        if inspect.iscoroutine(result):
            runner.run(result)
    return printed.getvalue()


def run_blocks(blocks: list[Block], where: str) -> None:
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    try:
        with asyncio.Runner() as runner:
            for block, after in itertools.zip_longest(blocks, blocks[1:]):
                if not block.runs:
                    continue
                printed = run_block(block, namespace, where, runner)
                if after is not None and after.info == "text":
                    wanted = ".*?".join(re.escape(part) for part in after.text.split("…"))
                    problem = f"{where}:{after.line}: the block prints\n{printed}"
                    assert re.fullmatch(wanted, printed.rstrip(), re.DOTALL), problem
        for name, function in namespace.items():
            if name.startswith("test_"):
                with LocalCoze() as coze:
                    function(local_coze=coze)
    finally:
        for value in namespace.values():
            if isinstance(value, (LocalCoze, LocalSite)):
                value.stop()


@pytest.fixture(autouse=True)
def _block_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the account of the developer, and block the network."""
    for name in ("API_TOKEN", "API_KEY", "API_BASE", "BOT_ID", "USER_ID"):
        monkeypatch.delenv(f"COZE_{name}", raising=False)
    look_up = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        assert name in LOOPBACK, f"the documentation asks for {name}"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)


# --- Everything runs -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != FILES and not is_readme(page)],
    ids=get_page_name,
)
def test_the_blocks_of_a_page_run(page: Path) -> None:
    run_blocks(parse_blocks(page.read_text("utf-8")), str(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.name == FILES], ids=get_page_name)
def test_the_files_of_a_page_are_a_test_suite_that_passes(page: Path, tmp_path: Path) -> None:
    sources = [block.text for block in parse_blocks(page.read_text("utf-8")) if block.runs]
    for source in sources:
        name = re.findall(r"\A# (\w+\.py)\n", source)[0]
        (tmp_path / name).write_text(source + "\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-W", "error", "-rA"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    passed = set(re.findall(r"^PASSED \S+::(\w+)", done.stdout, re.MULTILINE))
    written = re.findall(r"^(?:async )?def (test_\w+)", "\n".join(sources), re.MULTILINE)
    assert passed == set(written) > {"test_the_agent_answers"}


def list_modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(langchain_coze.__path__, "langchain_coze.")
    names = [module.name for module in found if not module.name.endswith("__main__")]
    return [langchain_coze, *(importlib.import_module(name) for name in names)]


def list_docstrings(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the names and docstrings of a module and of everything defined in it."""
    yield module.__name__, module.__doc__ or ""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == module.__name__ and inspect.getdoc(value):
            yield f"{module.__name__}.{name}", inspect.getdoc(value) or ""
            for inner, member in vars(value).items() if inspect.isclass(value) else ():
                if getattr(member, "__doc__", None) and not inner.startswith("__"):
                    yield f"{module.__name__}.{name}.{inner}", inspect.cleandoc(member.__doc__)


DOCSTRINGS = [
    pytest.param(text, id=name)
    for module in list_modules()
    for name, text in list_docstrings(module)
    if "```python" in text
]


@pytest.mark.parametrize("text", DOCSTRINGS)
def test_the_examples_of_a_docstring_run(text: str, request: pytest.FixtureRequest) -> None:
    run_blocks(parse_blocks(text), request.node.callspec.id)


@pytest.mark.parametrize("module", list_modules(), ids=lambda module: module.__name__)
def test_the_doctests_of_a_module_pass(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("pages", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_almost_every_python_block_runs(pages: list[Path]) -> None:
    pages = [page for page in pages if page.name != MIGRATING]
    blocks = [block for page in pages for block in parse_blocks(page.read_text("utf-8"))]
    python = [block for block in blocks if block.info.startswith(("python", "py"))]
    not_run = [block for block in python if not block.runs]
    assert {block.info for block in not_run} <= {"python no-run"}
    assert len(not_run) <= MAX_NOT_RUN
    assert len(python) > 20  # the test above has something to run


# --- Both languages say the same -----------------------------------------------------------------

PAIRS = [  # pages without a twin fail in the test below
    pytest.param(en, zh, id=get_page_name(en)) for en, zh in zip(ENGLISH, CHINESE, strict=False)
]


def test_every_page_has_its_twin() -> None:
    assert [page.name for page in ENGLISH] == [page.name for page in CHINESE]


def list_heading_levels(page: Path) -> list[int]:
    lines = list_lines_outside_blocks(page)
    return [len(line) - len(line.lstrip("#")) for line in lines if line.startswith("#")]


CHINESE_CHARACTER = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


def is_same_block(english: Block, chinese: Block) -> bool:
    """Return whether two blocks are the same, but for comments and for texts in Chinese."""
    if english.info != chinese.info:
        return False
    if english.info.startswith("python"):
        return is_same_code(ast.parse(english.text), ast.parse(chinese.text))
    if english.info == "text":
        return True  # what a program prints is compared when it runs
    one, other = (re.sub(r"\s*#.*", "", block.text) for block in (english, chinese))
    return one == other


def is_same_code(english: Any, chinese: Any) -> bool:
    if isinstance(chinese, ast.AST) and is_chinese_string(chinese):
        is_string = isinstance(english, (ast.Constant, ast.JoinedStr))
        return is_string and list_names(english) == list_names(chinese)
    if type(english) is not type(chinese):
        return False
    if isinstance(english, ast.AST):
        return all(is_same_code(getattr(english, n), getattr(chinese, n)) for n in english._fields)
    if isinstance(english, list):
        return len(english) == len(chinese) and all(map(is_same_code, english, chinese))
    return bool(english == chinese)


def is_chinese_string(node: ast.AST) -> bool:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant)]
    return any(isinstance(text, str) and CHINESE_CHARACTER.search(text) for text in texts)


def list_names(node: ast.AST) -> list[str]:
    """Return the names in an f-string, sorted: each language has its own word order."""
    return sorted(child.id for child in ast.walk(node) if isinstance(child, ast.Name))


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_have_the_same_sections(english: Path, chinese: Path) -> None:
    assert list_heading_levels(english) == list_heading_levels(chinese)


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_have_the_same_code(english: Path, chinese: Path) -> None:
    one, other = (parse_blocks(page.read_text("utf-8")) for page in (english, chinese))
    for left, right in zip(one, other, strict=True):
        assert is_same_block(left, right), (left.line, right.line)


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_have_the_same_tables(english: Path, chinese: Path) -> None:
    one, other = ([line.count("|") for line in list_tables(page)] for page in (english, chinese))
    assert one == other


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=get_page_name)
def test_no_page_is_too_long(page: Path) -> None:
    assert len(page.read_text("utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("page", CHINESE, ids=get_page_name)
def test_a_chinese_page_asks_in_chinese(page: Path) -> None:
    code = "\n".join(block.text for block in parse_blocks(page.read_text("utf-8")) if block.runs)
    questions = re.findall(r"(?:invoke|stream|Message)\(f?\"([^\"]+)\"", code)
    assert [text for text in questions if " " in text and not CHINESE_CHARACTER.search(text)] == []


# --- Links ---------------------------------------------------------------------------------------


def list_anchors(page: Path) -> set[str]:
    headings = [
        line.lstrip("# ") for line in list_lines_outside_blocks(page) if line.startswith("#")
    ]
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def list_links(page: Path) -> Iterator[tuple[Path, str]]:
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(list_lines_outside_blocks(page))):
        path, _, anchor = target.partition("#")
        if not path.startswith(("http://", "https://")):
            yield ((page.parent / path).resolve() if path else page), anchor


@pytest.mark.parametrize("page", PAGES, ids=get_page_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in list_links(page):
        assert target.exists(), target
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in list_anchors(target), f"{target}#{anchor}"


def list_cited_sections() -> set[str]:
    """Return the numbers of the wire sections that the code names."""
    sources = "\n".join(path.read_text("utf-8") for path in ROOT.glob("langchain_coze/**/*.py"))
    lists = re.findall(
        r"\b[Ww]ire(?:\s+sections?)?\s+(\d[\d.,\s]*(?:(?:and|to)\s+\d[\d.]*)?)", sources
    )
    return {number.rstrip(".") for cited in lists for number in re.findall(r"\d[\d.]*", cited)}


def test_every_wire_section_that_the_code_names_is_there() -> None:
    headings = {
        line.split()[1].rstrip(".")
        for line in list_lines_outside_blocks(ROOT / "docs" / "wire.md")
        if line.startswith(("## ", "### "))
    }
    assert list_cited_sections() > {"2.1", "4.6", "8"}  # the test has found some
    assert list_cited_sections() <= headings


# --- Tables that repeat the code -----------------------------------------------------------------


def list_tables(page: Path) -> list[str]:
    return [line for line in list_lines_outside_blocks(page) if line.startswith("|")]


def parse_rows(page: Path, first: str) -> dict[str, list[str]]:
    """Return the rows of the one table of a page whose first heading is `first`, by first cell."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in list_lines_outside_blocks(page):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and not set(cells[0]) <= {"-", ":"}:
            found[cells[0].strip("`")] = cells[1:]
    return found


def for_pages(name: str, *headings: str) -> pytest.MarkDecorator:
    languages = zip(("en", "zh"), headings, strict=True)
    return pytest.mark.parametrize(
        ("page", "heading"), [(ROOT / "docs" / code / name, heading) for code, heading in languages]
    )


@for_pages("versions.md", "Package", "软件包")
def test_the_table_of_packages_matches(page: Path, heading: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = itertools.chain(*project["optional-dependencies"].values())
    wanted = {*project["dependencies"], *extras}
    rows = parse_rows(page, heading)
    assert {name + cells[0].strip("`") for name, cells in rows.items()} == wanted


def parse_numbers(cell: str) -> set[int]:
    return {int(number) for number in re.findall(r"\d+", cell)}


@for_pages("chat.md", "Field", "字段")
def test_the_table_of_fields_matches(page: Path, heading: str) -> None:
    table = parse_rows(page, heading)
    fields = {
        name: field
        for name, field in ChatCoze.model_fields.items()
        if name not in BaseChatModel.model_fields
    }
    assert table.keys() == fields.keys()
    for name, field in fields.items():
        _, default, meaning = table[name]
        assert default == f"`{field.get_default(call_default_factory=True)!r}`", name
        if isinstance(field.validation_alias, AliasChoices):
            for alias in field.validation_alias.choices:
                assert alias == name or f"`{alias}`" in meaning, alias


@for_pages("chat.md", "Field", "字段")
def test_the_table_of_call_arguments_matches(page: Path, heading: str) -> None:
    listed = {
        name
        for name, cells in parse_rows(page, heading).items()
        if re.search("Per call|单次", cells[2])
    }
    assert listed == PER_CALL_FIELDS - {"model", "user"}  # other names of fields


@for_pages("retriever.md", "Field", "字段")
def test_the_table_of_retriever_fields_matches(page: Path, heading: str) -> None:
    table = parse_rows(page, heading)
    bots = {  # without those of all chat models
        name: field
        for name, field in ChatCoze.model_fields.items()
        if name not in BaseChatModel.model_fields
    }
    own = {
        name: field
        for name, field in CozeRecallRetriever.model_fields.items()
        if name not in BaseRetriever.model_fields
        and (name not in bots or bots[name].default != field.default)
        and field.default_factory is None
    }
    assert table.keys() == own.keys() > {"k", "output_path", "auto_save_history"}
    for name, field in own.items():
        assert table[name][1] == f"`{field.default!r}`", name


@for_pages("authentication.md", "Field of `CozeJWTAuth`", "`CozeJWTAuth` 的字段")
def test_the_table_of_oauth_fields_matches(page: Path, heading: str) -> None:
    table = parse_rows(page, heading)
    assert table.keys() == CozeJWTAuth.model_fields.keys()
    for name, field in CozeJWTAuth.model_fields.items():
        wanted = "" if field.default_factory else f"`{field.default!r}`"
        assert table[name][0] == wanted, name


@for_pages("workflows.md", "Field", "字段")
def test_the_table_of_tool_fields_matches(page: Path, heading: str) -> None:
    table = parse_rows(page, heading)
    plain = {**BaseTool.model_fields, **CozeConnectionFields.model_fields}
    own = {
        name: field
        for name, field in CozeWorkflowTool.model_fields.items()
        if name not in plain or plain[name].default != field.default
    }
    assert table.keys() == own.keys() > {"run_mode", "handle_tool_error", "poll_timeout"}
    for name, field in own.items():
        wanted = "" if field.is_required() else f"`{field.default!r}`"
        assert table[name][1] == wanted, name


@for_pages("site.md", "Field of `ChatCozeSite`", "`ChatCozeSite` 的字段")
def test_the_table_of_site_fields_matches(page: Path, heading: str) -> None:
    table = parse_rows(page, heading)
    shared = {"http_client", "http_async_client", "http_backend", "default_headers"}
    own = {
        name: field
        for name, field in ChatCozeSite.model_fields.items()
        if name not in BaseChatModel.model_fields and name not in shared
    }
    assert table.keys() == own.keys()
    for name, field in own.items():
        wanted = "" if field.default_factory else f"`{field.default!r}`"
        assert table[name][0] == wanted, name


@for_pages("site.md", "`run_mode`", "`run_mode`")
def test_the_table_of_site_run_modes_matches(page: Path, heading: str) -> None:
    modes = get_args(CozeSiteTool.model_fields["run_mode"].annotation)
    listed = [cell.partition("`")[0].strip('"') for cell in parse_rows(page, heading)]
    assert listed == list(modes)


@for_pages("workflow-runs.md", "Mode", "模式")
def test_the_table_of_run_modes_matches(page: Path, heading: str) -> None:
    modes = get_args(CozeWorkflowTool.model_fields["run_mode"].annotation)
    listed = [cell.partition("`")[0].strip('"') for cell in parse_rows(page, heading)]
    assert listed == list(modes)


@for_pages("workflow-runs.md", "Field of `WorkflowRun`", "`WorkflowRun` 的字段")
def test_the_table_of_a_run_matches(page: Path, heading: str) -> None:
    named = {name for row in parse_run_rows(page, heading) for name in re.findall(r"`(\w+)`", row)}
    assert named == set(WorkflowRun.model_fields)


def parse_run_rows(page: Path, heading: str) -> list[str]:
    return [f"`{name}` {' '.join(cells)}" for name, cells in parse_rows(page, heading).items()]


def list_error_classes() -> dict[str, type[CozeError]]:
    public = {name: getattr(langchain_coze, name) for name in langchain_coze.__all__}
    return {n: c for n, c in public.items() if inspect.isclass(c) and issubclass(c, CozeError)}


@for_pages("errors.md", "Class", "类")
def test_the_table_of_errors_matches(page: Path, heading: str) -> None:
    table = parse_rows(page, heading)
    assert table.keys() == list_error_classes().keys()
    for name, error in list_error_classes().items():
        codes, also, again, what = table[name]
        assert parse_numbers(codes) == {
            code for code, entry in CODES.items() if entry.error is error
        }
        bases = {base.__name__ for base in error.__mro__}
        assert set(re.findall(r"`(\w+)`", also)) <= bases, name
        assert ("`ValueError`" in also) == issubclass(error, ValueError), name
        assert again in {"yes", "是"} if error("").is_retryable else again in {"no", "否"}, name
        assert what


LOCAL_PAGES = {
    LocalBot: "local-bots.md",
    LocalChatflow: "local-bots.md",
    LocalCoze: "local-server.md",
    LocalSite: "local-site.md",
    LocalWorkflow: "local-workflows.md",
}


@pytest.mark.parametrize(("kind", "page"), LOCAL_PAGES.items())
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_tables_of_the_local_server_match(language: str, kind: Any, page: str) -> None:
    table = parse_rows(ROOT / "docs" / language / page, f"`{kind.__name__}(…)`")
    public = [field for field in dataclasses.fields(kind) if field.init]
    assert table.keys() == {field.name for field in public}
    needed = dataclasses.MISSING
    defaults = ["" if f.default is needed else f"`{f.default!r}`" for f in public]
    assert [table[field.name][0] for field in public] == defaults


@for_pages("local-faults.md", "Fault", "故障")
def test_the_table_of_faults_matches(page: Path, heading: str) -> None:
    check_faults(parse_rows(page, heading), FAULTS)


@for_pages("local-faults.md", "Fault of a site", "站点故障")
def test_the_table_of_faults_of_a_site_matches(page: Path, heading: str) -> None:
    check_faults(parse_rows(page, heading), SITE_FAULTS)


def check_faults(table: dict[str, list[str]], faults: Any) -> None:
    assert table.keys() == {fault.value for fault in faults}
    for fault, (default, _) in faults.items():
        wanted = {None: "", "": "–"}.get(default, f"`{default}`")
        assert table[fault.value][0] == wanted, fault
