"""Conventions that no linter checks: sizes, names, reasons, and paths in the pages."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MAX_LINES = 500
MAX_FUNCTION_LINES = 40
MODULES = sorted(ROOT.glob("langchain_coze/**/*.py"))
TESTS = sorted(ROOT.glob("tests/**/*.py"))
# LangChain's own suites, which a package runs once per kind of test
SUITES = {"TestToolWithAModel"}


def get_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_module_is_longer_than_the_limit() -> None:
    lengths = {get_name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert len(lengths) > 100
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring and decorators."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - documented


def test_no_function_is_longer_than_the_limit() -> None:
    lengths = {
        f"{get_name(path)}:{node.name}": count_lines(node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert len(lengths) > 1000
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_a_class_name_has_one_meaning() -> None:
    names = Counter(
        node.name
        for path in [*MODULES, *TESTS]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} <= SUITES


@pytest.mark.parametrize("pattern", [r"# noqa: [A-Z0-9, ]+$", r"# type: ignore\[[a-z-]+\]$"])
def test_every_suppressed_warning_has_a_reason(pattern: str) -> None:
    bare = [
        f"{get_name(path)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert bare == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    paths = set(re.findall(r"`([\w./]+\.(?:py|md|toml))`", text))
    assert len(paths) > 10
    places = [ROOT, *(ROOT / place for place in PLACES)]
    assert {path for path in paths if not any((at / path).exists() for at in places)} == set()


PLACES = (
    "langchain_coze",
    "langchain_coze/_api",
    "langchain_coze/local",
    "docs/en",
    "tests/unit_tests",
)
"""The folders below which a page may name a file."""
