"""Build the site of the documentation: `python docs/sphinx/build_site.py [folder]`.

The pages of `docs/en` and `docs/zh` become one site in two languages. What both share (the pages in
`docs`, the changelog, the examples, the reference of the public names) is in both. Nothing is
fetched. A warning of Sphinx, or a link that leads nowhere, ends the build with exit code 1. By
default the folder is `build/site`.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from links import check_links
from navigation import build_toctree
from reference import write_examples, write_reference

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SHARED = {  # pages at the top of the repository, and their names on the site
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
READMES = {"en": "README.md", "zh": "README.zh-CN.md"}  # of an example that has a folder
LANGUAGES = tuple(READMES)
MAIN_FILES = ("app.py", "graph.py")  # of such a folder: a link to the folder leads there
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
_MERMAID = re.compile(r"^```mermaid\n.*?^```\n+", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
_START = """<!doctype html>
<html><head><meta charset="utf-8"><title>langchain-coze</title>
<link rel="icon" href="en/_static/icon.svg">
<script>
const language = (navigator.language || "").startsWith("zh") ? "zh" : "en";
location.replace(`${language}/index.html`);  // without the name, a file:// address lists the folder
</script>
</head><body><a href="en/index.html">English</a> <a href="zh/index.html">简体中文</a></body></html>
"""


def list_pages(language: str) -> dict[str, str]:
    """Return the pages of one language: their paths in the repository, and their names."""
    pages = {path: name for path, name in SHARED.items() if (ROOT / path).exists()}
    for path in ROOT.glob(f"examples/*/{READMES[language]}"):
        pages[path.relative_to(ROOT).as_posix()] = f"{path.parent.name}.md"
    for path in (*ROOT.glob("docs/*.md"), *ROOT.glob(f"docs/{language}/*.md")):
        if path.name in pages.values():
            sys.exit(f"Two pages are named {path.name}")
        pages[path.relative_to(ROOT).as_posix()] = path.name
    return pages


def find_target(path: str, language: str, folder: Path) -> str:
    """Return where a path of the repository is on the site.

    A file that is no page is copied, so that readers can download it.
    """
    if name := list_pages(language).get(path):
        return name
    if path.startswith("README"):
        return "index.md"
    if path == "examples":
        return "examples.md"
    if path.startswith("docs/en/"):  # a link of a page that both languages share
        return posixpath.basename(path)
    if (ROOT / path).is_dir():
        path = next((f"{path}/{n}" for n in MAIN_FILES if (ROOT / path / n).exists()), path)
    if not (ROOT / path).is_file():
        sys.exit(f"A page links to {path}, which is no file of the repository")
    if path.startswith("examples/"):
        return find_example(path.removeprefix("examples/"), folder)
    shutil.copy(ROOT / path, folder)
    return posixpath.basename(path)


def find_example(path: str, folder: Path) -> str:
    """Return where a file of the examples is on the site; its path begins below `examples`."""
    if posixpath.basename(path) in READMES.values():  # the twin of a page, in the other language
        return f"{posixpath.dirname(path)}.md"
    if path.endswith(".py"):
        return "examples.md#" + re.sub(r"[^\w-]", "", path.lower())
    name = path.replace("/", "-")  # unique: several examples may have such a file
    shutil.copy(ROOT / "examples" / path, folder / name)
    return name


def rewrite_links(text: str, page: str, language: str, folder: Path) -> str:
    """Change the links of a page from paths of the repository to those of the site."""

    def rewrite(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link[1]))
        target = find_target(path, language, folder)
        same_page = target == list_pages(language).get(path)  # not its twin, nor the README's
        return target + (link[2] or "") if same_page else target

    parts = _FENCED.split(text)
    parts[::2] = [_LINK.sub(rewrite, part) for part in parts[::2]]
    return "".join(parts)


def collect_sources(language: str, folder: Path) -> None:
    """Write everything that the site of one language is made of into a folder."""
    for path, name in list_pages(language).items():
        text = rewrite_links((ROOT / path).read_text("utf-8"), path, language, folder)
        text = _MERMAID.sub("", text)  # a diagram needs a script of another host
        (folder / name).write_text(text, "utf-8")
    write_examples(folder / "examples.md", language)
    write_reference(folder / "reference", language)
    names = ["reference/index", *(path.stem for path in folder.glob("*.md"))]
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write(build_toctree(language, names))


def write_llms(output: Path) -> None:
    """Write `llms.txt` for the site: its links lead to the English pages."""
    text = (ROOT / "llms.txt").read_text("utf-8")
    text = rewrite_links(text, "llms.txt", "en", output / "en")
    pages = list_pages("en").values()
    text = _LINK.sub(
        lambda link: "en/" + (f"{link[1][:-3]}.html" if link[1] in pages else link[1]), text
    )
    (output / "llms.txt").write_text(text, "utf-8")


def build_language(language: str, output: Path) -> str:
    """Build the site of one language and return what Sphinx complains about."""
    with tempfile.TemporaryDirectory() as name:
        sources, trees = Path(name, "sources"), Path(name, "trees")
        sources.mkdir()
        collect_sources(language, sources)
        options = ("-q", "-W", "--keep-going", "-c", HERE, "-d", trees, sources, output / language)
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "sphinx", *options],
            env={**os.environ, "DOCS_LANGUAGE": language},
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
        problems = done.stderr.replace(f"{sources}{os.sep}", "")
    return problems or ("Sphinx failed" if done.returncode else "")


def main() -> None:
    """Build both languages side by side, then follow every link."""
    sys.path.insert(0, str(ROOT))  # describe this checkout, not an installed package
    output = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "site").resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / "index.html").write_text(_START, "utf-8")
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(lambda language: build_language(language, output), LANGUAGES))
    write_llms(output)
    problems += check_links(output)
    if any(problems):
        sys.exit("\n".join(filter(None, problems)))
    print(f"The site is in {output}: open {output / 'index.html'}")
    print(f"With a server: python -m http.server -d {output}")


if __name__ == "__main__":
    main()
