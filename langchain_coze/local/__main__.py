"""`python -m langchain_coze.local`: a Coze-compatible server on this machine."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import importlib
import inspect
import io
import ipaddress
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_coze.local.bots import LocalChatflow
from langchain_coze.local.extra import MISSING_EXTRA
from langchain_coze.local.runtime.replying_bot import derive_name
from langchain_coze.local.workflows import LocalWorkflow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_TARGET_HELP = (
    "a LocalBot, a LocalChatflow, a LocalWorkflow, a LocalCoze, a list of bots, a function or a "
    "LangChain Runnable; by default a sample bot with a knowledge base. With --profile site: a "
    "LocalSite, a graph, a Runnable or a function; a function whose first parameter is `question` "
    "is an agent, any other function a workflow / "
    "LocalBot、LocalChatflow、LocalWorkflow、LocalCoze、智能体列表、函数或 LangChain Runnable；"
    "不写时提供带知识库的示例智能体。使用 --profile site 时为 LocalSite、图、Runnable 或函数；"
    "第一个参数名为 question 的函数是智能体，其他函数是工作流"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve bots until Ctrl-C or SIGTERM.

    Args:
        argv: The command-line arguments; None for those of the process.

    Returns:
        The exit status: 0 after a normal exit, 1 if the server could not be started.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a redirect may have a small character set
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _build_parser().parse_args(argv)
    try:
        coze = _create_server(arguments)
        if not arguments.quiet:
            _log_to_stderr()
        coze.start()
        _warn_if_reachable(coze)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        return _print_error(MISSING_EXTRA if package in {"starlette", "uvicorn"} else str(error))
    except OSError as error:
        return _print_error(_format_address_error(error, arguments))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return _print_error(str(error))
    try:
        sys.stdout.write(_format_greeting(coze))
        sys.stdout.flush()
        _wait_for_signal()
    finally:
        coze.stop()
    return 0


def _parse_port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004 - the range of TCP ports
        raise argparse.ArgumentTypeError(
            "a port must be a number from 0 to 65535 / 端口应为 0 到 65535 的整数"
        )
    return port


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_coze.local",
        description="A Coze-compatible server on this machine / 在本机运行、与扣子兼容的服务",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="module:object",
        help=_TARGET_HELP,
    )
    parser.add_argument(
        "--host", help="address to listen on (127.0.0.1) / 监听地址，默认 127.0.0.1"
    )
    parser.add_argument(
        "--port",
        type=_parse_port,
        help="port to listen on (any free one) / 监听端口，默认任选一个空闲端口",
    )
    parser.add_argument(
        "--profile",
        help="the service to imitate: cloud (default), studio or site / 模拟哪种服务，默认为 cloud",
    )
    parser.add_argument(
        "--token",
        help="token that clients must send (generated) / 客户端必须发送的令牌，默认自动生成",
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="do not log requests and tracebacks to stderr / 不输出请求日志和调用栈",
    )
    return parser


def _log_to_stderr() -> None:
    """Log one line per request, and the tracebacks of failed replies."""
    logger = logging.getLogger("langchain_coze.local")
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)


def _create_server(arguments: argparse.Namespace) -> Any:
    from langchain_coze.local.server import LocalCoze  # noqa: PLC0415 - the extra may be missing

    target = _load_target(arguments.target) if arguments.target else None
    names = ("host", "port", "profile", "token")
    options: dict[str, Any] = {
        name: v for name in names if (v := getattr(arguments, name)) is not None
    }
    if arguments.host is not None:
        options["any_host"] = True
    if arguments.profile == "site":
        del options["profile"]
        return _create_site(target, options)
    if isinstance(target, LocalCoze):
        return dataclasses.replace(target, **options)
    fields = {LocalChatflow: "chatflows", LocalWorkflow: "workflows"}
    options[fields.get(type(target), "bots")] = target
    return LocalCoze(**options)


def _create_site(target: Any, options: dict[str, Any]) -> Any:
    from langchain_coze.local.site import LocalSite  # noqa: PLC0415 - the extra may be missing

    if isinstance(target, LocalSite):
        return dataclasses.replace(target, **options)
    channels = getattr(target, "channels", None)
    if channels is not None:
        is_agent = "messages" in channels
    elif inspect.isroutine(target):
        is_agent = next(iter(inspect.signature(target).parameters), "") == "question"
    else:
        is_agent = True
    return LocalSite(**{"agent" if is_agent else "workflow": target}, **options)


def _load_target(target: str) -> Any:
    module_name, colon, path = target.partition(":")
    if not colon or not path:
        raise ValueError(
            f"{target!r} does not have the form module:object / 参数应为 module:object 的形式"
        )
    # Like `python -m`: modules in the current directory take precedence.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    value: Any = importlib.import_module(module_name)
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _format_address_error(error: OSError, arguments: argparse.Namespace) -> str:
    address = f"{arguments.host or '127.0.0.1'}:{arguments.port or 0}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} is already in use: choose another --port, or omit it to use a free one.\n"
            f"{address} 已被占用：请用 --port 指定其他端口；不指定时会自动选择空闲端口。"
        )
    return (
        f"Cannot listen on {address}: {error.strerror or error}\n"
        f"无法监听 {address}：{error.strerror or error}"
    )


def _print_error(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1


def _warn_if_reachable(coze: Any) -> None:
    """Print a warning when other machines can reach the server."""
    with contextlib.suppress(ValueError):
        if coze.host == "localhost" or ipaddress.ip_address(coze.host).is_loopback:
            return
    address = f"{coze.host}:{coze.port}"
    sys.stderr.write(
        f"Warning: other machines can reach {address}. Anyone with the token can run your "
        "code, and the token is sent unencrypted. Omit --host to allow only this machine.\n"
        f"警告：其他机器可以访问 {address}。任何知道令牌的人都能运行您的代码，而且令牌以明文传输。"
        "如果只需要本机访问，请不要指定 --host。\n"
    )


def _format_greeting(server: Any) -> str:
    exports = "".join(f"export {name}={value}\n" for name, value in server.environment.items())
    title = "Local coze.site project / 本地 coze.site 项目"
    if hasattr(server, "bots"):
        title = "Local Coze server / 本地扣子服务"
        served = _format_list("Bots / 智能体", server.bots)
        served += _format_list("Chatflows / 对话流", server.chatflows)
        served += _format_list("Workflows / 工作流", server.workflows)
    elif server.workflow is None:
        served = f"Agent / 智能体:\n  {derive_name(server.agent)}\n"
    else:
        served = f"Workflow / 工作流:\n  {derive_name(server.workflow)}\n"
    return (
        f"{title}: {server.base_url}\n"
        "Open it in a browser to chat / 在浏览器中打开即可对话\n"
        f"Token / 令牌: {server.token}\n"
        f"{served}\n"
        f"{exports}\n"
        "Ctrl-C stops the server / 按 Ctrl-C 结束\n"
    )


def _format_list(title: str, served: Sequence[Any]) -> str:
    lines = "".join(f"  {item.wire_id}  {item.name}\n" for item in served)
    return f"{title}:\n{lines}" if lines else ""


def _wait_for_signal() -> None:
    ended = threading.Event()

    def set_ended(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    old_handlers = {
        number: signal.signal(number, set_ended) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        ended.wait()
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
