"""Sphinx settings of the documentation site; `build_site.py` sets the language."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import langchain_coze  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

CHINESE = os.environ["DOCS_LANGUAGE"] == "zh"

project = "langchain-coze"
author = "the authors of langchain-coze"
version = release = langchain_coze.__version__
language = "zh_CN" if CHINESE else "en"
html_title = f"langchain-coze {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
templates_path = [str(HERE / "templates")]
html_theme = "furo"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_js_files = ["chinese.js"] if CHINESE else []
html_favicon = str(HERE.parent.parent / "langchain_coze" / "local" / "page" / "icon.svg")
html_search_scorer = str(HERE / "search_scorer.js")
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "languages.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_context = {"languages": [("en", "English"), ("zh", "简体中文")], "language_code": language[:2]}

copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"  # not what a program prints

myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]

autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# What Sphinx and Furo have no Chinese for.
THEME_TEXTS = {
    "Next": "下一页",
    "Previous": "上一页",
    "Home": "首页",
    "On this page": "本页目录",
    "Back to top": "回到顶部",
}


def translate_theme(
    app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Give the templates our Chinese texts (the event `html-page-context`)."""
    known: Callable[[str], str] = app.builder.templates.environment.globals["gettext"]

    def translate(text: str) -> str:
        return THEME_TEXTS.get(text) or known(text)

    if CHINESE:
        context.update(_=translate, gettext=translate)


def setup(app: Sphinx) -> None:
    """Register the search of Chinese and the reader of our docstrings."""
    from chinese_search import EnglishPairSearch, PairSearch  # noqa: PLC0415 - found through the path above
    from docstrings import convert_docstring, shorten_signature  # noqa: PLC0415

    app.add_search_language(PairSearch)
    app.add_search_language(EnglishPairSearch)
    app.connect("html-page-context", translate_theme)
    app.connect("autodoc-process-docstring", convert_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", shorten_signature)
