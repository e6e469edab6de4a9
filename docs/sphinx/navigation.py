"""The order of the pages in the navigation. A page that is not named here goes to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Group(NamedTuple):
    """Pages under one caption."""

    english: str
    chinese: str
    pages: str


GROUPS = (
    Group("Start", "开始", "overview migrating faq"),
    Group("Bots", "智能体", "chat streaming files conversations chatflows retriever knowledge"),
    Group("Workflows", "工作流", "workflows workflow-questions workflow-runs"),
    Group("Agents", "Agent 与图", "langgraph mcp site"),
    Group("Connection", "连接", "authentication connections errors doctor accounts studio"),
    Group("In production", "上线", "deployment web_chat batches security performance versions"),
    Group(
        "Testing",
        "测试",
        "testing local-server chat-page local-bots local-workflows local-faults local-site"
        " local-api",
    ),
    Group("Reference", "参考", "reference/index examples wire"),
    Group("Project", "项目", "changelog contributing architecture releasing security-policy"),
)
REST = ("More", "更多")
CHINESE_TITLES = {  # of pages that are written in English only
    "wire": "接口细节（英文）",
    "performance": "性能（英文）",
    "changelog": "更新日志（英文）",
    "contributing": "参与贡献（英文）",
    "architecture": "架构（英文）",
    "releasing": "发布流程（英文）",
    "security-policy": "安全问题报告（英文）",
}


def build_toctree(language: str, pages: Iterable[str]) -> str:
    """Return the navigation, to be put at the end of `index.md`.

    Args:
        language: `en` or `zh`.
        pages: The names of all pages, without their suffix.
    """
    return "\n".join(_build_groups(language == "zh", set(pages) - {"index"}))


def _build_groups(chinese: bool, pages: set[str]) -> Iterator[str]:  # noqa: FBT001 - which caption
    for group in GROUPS:
        if named := [name for name in group.pages.split() if name in pages]:
            yield _build_group(group.chinese if chinese else group.english, named, chinese)
        pages = pages.difference(named)
    if pages:
        yield _build_group(REST[chinese], sorted(pages), chinese)


def _build_group(caption: str, names: list[str], chinese: bool) -> str:  # noqa: FBT001 - as above
    titles = CHINESE_TITLES if chinese else {}
    entries = [f"{titles[name]} <{name}>" if name in titles else name for name in names]
    lines = (
        "",
        "```{toctree}",
        ":hidden:",
        ":titlesonly:",
        f":caption: {caption}",
        "",
        *entries,
        "```",
        "",
    )
    return "\n".join(lines)
