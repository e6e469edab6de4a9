"""`python -m langchain_coze doctor`: why does it not work?"""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The command line without the name of the program; that of the process if None.

    Returns:
        The exit status: 0 if all checks passed, 1 if there are problems.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a redirect may have a small character set
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _build_parser()
    arguments = parser.parse_args(argv)
    from langchain_coze._doctor import doctor  # noqa: PLC0415 - not needed for --help

    report = doctor(
        bot_id=arguments.bot,
        workflow_id=arguments.workflow,
        site=arguments.site,
        chat=arguments.chat,
        lang=arguments.lang,
    )
    sys.stdout.write((report.to_json() if arguments.json else str(report)) + "\n")
    return 0 if report.ok else 1


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m langchain_coze")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "doctor",
        help="check token, network, bot and workflow / 检查令牌、网络、智能体和工作流",
        description="Checks the settings in the environment: COZE_API_TOKEN, COZE_API_BASE, "
        "COZE_SITE_TOKEN … / 检查环境变量中的设置",
    )
    check.add_argument("--bot", metavar="ID", help="a bot (COZE_BOT_ID) / 智能体 ID")
    check.add_argument("--workflow", metavar="ID", help="a workflow (COZE_WORKFLOW_ID) / 工作流 ID")
    check.add_argument(
        "--site", metavar="URL", help="a coze.site project (COZE_SITE_BASE) / 扣子编程项目地址"
    )
    check.add_argument("--lang", choices=["en", "zh"], help="language / 语言")
    check.add_argument("--json", action="store_true", help="print JSON / 输出 JSON")
    check.add_argument(
        "--chat",
        action="store_true",
        help="also ask a question, which is billed / 发起一次计费的对话",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
