"""The pages that are written from the code: the reference of the public names, and the examples."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docstrings import convert_lines
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent.parent
TITLES = {
    "index": ("API reference", "API 参考"),
    "functions": ("Functions and types", "函数与类型"),
    "errors": ("Errors", "错误"),
    "local": ("Local server", "本地服务"),
    "examples": ("Examples", "示例"),
}
INTRODUCTIONS = {
    "index": (
        "Every public name, from the docstrings.",
        "所有公开的名称，内容来自代码中的文档字符串（英文）。",
    ),
    "examples": (
        "Run these programs in a clone: some import the modules at the end. No account is needed.",
        "请在仓库的克隆目录中运行这些程序：有些会导入本页末尾的模块。所有程序都不需要账号。",
    ),
}
_NOT_FOR_READERS = {"model_config", "model_post_init"}


def write_reference(folder: Path, language: str) -> None:
    """Write the pages of all public names into a folder."""
    pages = _sort_names("langchain_coze")
    pages["local"] = [f"langchain_coze.local.{name}" for name in _public("langchain_coze.local")]
    folder.mkdir()
    for page, names in pages.items():
        title = _choose(TITLES[page], language) if page in TITLES else page
        body = "\n".join(_document(name) for name in names)
        (folder / f"{page}.rst").write_text(_heading(title) + body, "utf-8")
    text = _heading(_choose(TITLES["index"], language)) + _choose(INTRODUCTIONS["index"], language)
    text += "\n\n.. toctree::\n   :hidden:\n\n" + "".join(f"   {page}\n" for page in pages)
    for page, names in pages.items():
        title = _choose(TITLES[page], language) if page in TITLES else page
        heading = f":doc:`{title} <{page}>`"
        text += f"\n{heading}\n{'-' * 2 * len(heading)}\n\n" if len(names) > 1 else "\n"
        text += "".join(f"* {_summarize(name)}\n" for name in names)
    (folder / "index.rst").write_text(text, "utf-8")


def write_examples(page: Path, language: str) -> None:
    """Write the page with all example programs."""
    parts = [
        f"# {_choose(TITLES['examples'], language)}",
        _choose(INTRODUCTIONS["examples"], language),
    ]
    paths = ROOT.glob("examples/**/*.py")
    for path in sorted(paths, key=lambda path: (path.name.startswith("_"), path)):
        text, source = _split_docstring(path.read_text("utf-8"))
        name = path.relative_to(ROOT / "examples").as_posix()
        parts += [f"## {name}", text, f"```python\n{source}```"]
    page.write_text("\n\n".join(parts) + "\n", "utf-8")


def _split_docstring(source: str) -> tuple[str, str]:
    """Return the docstring of a program, and the program without it."""
    first = ast.parse(source).body[0]
    lines = source.splitlines(keepends=True)[first.end_lineno :]
    return ast.get_docstring(ast.parse(source)) or "", "".join(lines).lstrip("\n")


def _sort_names(module: str) -> dict[str, list[str]]:
    """Return the names of each page: a component has a page of its own."""
    components: dict[str, list[str]] = {}
    functions: list[str] = []
    errors: list[str] = []
    for name in _public(module):
        value, path = getattr(importlib.import_module(module), name), f"{module}.{name}"
        if inspect.isclass(value) and issubclass(value, Exception):
            errors.append(path)
        elif inspect.isclass(value) and issubclass(value, BaseModel):
            components[name] = [path]
        else:
            functions.append(path)
    return {**components, "functions": functions, "errors": errors}


def _public(module: str) -> Iterable[str]:
    names = importlib.import_module(module).__all__
    return [name for name in names if not name.startswith("_")]


def _summarize(path: str) -> str:
    """Return a link to one name, with the first line of its docstring."""
    module, _, name = path.rpartition(".")
    value: Any = getattr(importlib.import_module(module), name)
    link = f":py:obj:`{name} <{path}>`"
    if not callable(value):
        return link
    return f"{link}: {convert_lines((inspect.getdoc(value) or '').splitlines()[:1])[0]}"


def _document(path: str) -> str:
    """Return the directive that documents one name."""
    module, _, name = path.rpartition(".")
    value: Any = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        members = ", ".join(_list_members(value))
        return f".. autoclass:: {path}\n   :members: {members}\n"
    if callable(value):
        return f".. autofunction:: {path}\n"
    entries = "\n".join(f"   - ``{key.value}``: {text}" for key, (_, text) in value.items())
    return f".. py:data:: {path}\n\n{entries}\n"


def _list_members(kind: type) -> list[str]:
    """Return the public members that are ours; what is inherited from LangChain is described there.

    A field that has no docstring stands in the docstring of its class.
    """
    ours = [base for base in kind.__mro__ if base.__module__.startswith("langchain_coze")]
    found = dict.fromkeys(name for base in ours for name in {**base.__annotations__, **vars(base)})
    return [name for name in found if not name.startswith("_") and name not in _NOT_FOR_READERS]


def _heading(title: str) -> str:
    return f"{title}\n{'=' * 2 * len(title)}\n\n"


def _choose(texts: tuple[str, str], language: str) -> str:
    return texts[language == "zh"]
