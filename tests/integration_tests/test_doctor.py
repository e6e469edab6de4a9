"""`doctor`: every check, in both languages, by function and by command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_coze import CozeInvalidRequestError, DoctorReport, doctor
from langchain_coze._doctor_report import _NAMES
from langchain_coze.local import (
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalSite,
    LocalWorkflow,
)
from tests.conftest import find_free_port, serve
from tests.integration_tests.scripted_server import serve_script

ROOT = Path(__file__).parents[2]
SPENDING = {"/v3/chat", "/v1/workflow/run", "/v1/workflow/stream_run", "/v1/workflows/chat"}


def book(city: str, nights: int = 1) -> str:
    """Book a room."""
    return f"{city} {nights}"


def greet(question: str) -> str:
    return f"{question} to you"


BOT = LocalBot(greet, name="greeter", knowledge=LocalKnowledge(["Tea."], name="teas"))
DRAFT = LocalBot(greet, name="draft", published=False)
coze = serve([BOT, DRAFT], workflows=LocalWorkflow(book))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COZE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANGUAGE", "en")


def examine(coze: LocalCoze, **fields: Any) -> DoctorReport:
    return doctor(**{"api_key": coze.token, "base_url": coze.base_url, **fields})


def find(report: DoctorReport, name: str) -> tuple[str, str, str]:
    (check,) = [check for check in report.checks if check.name == name]
    return check.status, check.message, check.hint


def test_all_is_well(coze: LocalCoze) -> None:
    ids = {"bot_id": BOT.bot_id, "workflow_id": coze.workflows[0].workflow_id}
    report = examine(coze, **ids)
    assert report.ok
    assert [check.name for check in report.checks] == [
        *("server", "proxy", "token", "clock", "workspaces", "bot", "workflow"),
    ]
    lines = str(report).splitlines()
    assert lines[0] == f"ok       server: {coze.base_url} (a server on this machine)"
    assert lines[2] == "ok       token: accepted, user Local"
    assert f"1: Local Coze ({coze.workspace_id})" in lines[4]
    assert lines[5].endswith(
        "greeter, published; knowledge bases: teas; plugins: none; workflows: none"
    )
    assert lines[6].endswith("book; inputs: city (required), nights")
    assert lines[-1] == "All checks passed."
    assert len(lines) == len(report.checks) + 1
    assert coze.token not in str(report) + report.to_json()
    assert SPENDING.isdisjoint(request.path for request in coze.requests)


def test_a_question_is_asked_only_on_demand(coze: LocalCoze) -> None:
    report = examine(coze, bot_id=BOT.bot_id, chat=True)
    assert find(report, "chat") == ("ok", "answered: Hi to you", "")
    assert [request.path for request in coze.requests].count("/v3/chat") == 1
    nobody = examine(coze, chat=True)
    assert not nobody.ok
    assert find(nobody, "chat")[1] == "there is no bot and no agent to ask"


def test_chinese(coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "zh_CN:en")
    report = examine(coze, bot_id=DRAFT.bot_id)
    lines = str(report).splitlines()
    assert lines[0] == f"正常  服务器：{coze.base_url} (本机服务)"
    assert lines[1] == "正常  代理：无"
    assert lines[5].startswith("异常  智能体：不存在或未发布（The bot has not been published")
    assert "→ 请在扣子中发布，并在发布渠道勾选 API" in lines[5]
    assert lines[-1] == "发现 1 个问题"
    assert {check.name for check in report.checks} <= _NAMES.keys()
    assert "published" in str(examine(coze, bot_id=BOT.bot_id, lang="en"))


@pytest.mark.parametrize(
    ("fields", "name", "problem", "advice"),
    [
        ({"bot_id": DRAFT.bot_id}, "bot", r"not been published .*code 4015, logid", "Publish it"),
        ({"bot_id": "7400"}, "bot", "does not exist", "check the id and the site"),
        ({"workflow_id": "7400"}, "workflow", "Workflow not found", "Publish it"),
        ({"api_key": "pat_wrong_token"}, "token", "access token invalid", "expiry date"),
        ({"api_key": "eyJhbGciOi"}, "token", "coze.site project", "COZE_SITE_TOKEN"),
        ({"api_key": "pat wrong"}, "token", "which a token cannot have", "Copy"),
        ({"base_url": "https://www.coze.cn"}, "server", "address of the website", "Correct"),
        ({"base_url": "coze"}, "server", "must be an address", "Correct"),
    ],
)
def test_problems_are_named_with_what_to_do(
    coze: LocalCoze, fields: dict[str, Any], name: str, problem: str, advice: str
) -> None:
    report = examine(coze, **fields)
    status, message, hint = find(report, name)
    assert not report.ok
    assert status == "problem"
    assert re.search(problem, message)
    assert advice in hint
    assert "\n" not in message + hint
    assert "Problems: 1" in str(report)


def test_no_token() -> None:
    status, message, hint = find(doctor(), "token")
    assert (status, message) == ("problem", "No Coze token is set.")
    assert "set COZE_API_TOKEN" in hint
    assert find(doctor(lang="zh"), "token")[1] == "未设置扣子令牌"


@pytest.mark.parametrize("fields", [{"bot_id": "5"}, {"workflow_id": "6"}])
def test_a_bot_or_workflow_beside_a_site_needs_a_token(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    with LocalSite(agent=greet) as agent:
        monkeypatch.setenv("COZE_SITE_TOKEN", agent.token)
        report = doctor(site=agent.base_url, **fields)
        assert not report.ok
        assert find(report, "token")[:2] == ("problem", "No Coze token is set.")
        assert find(report, "site")[0] == "ok"
        assert doctor(site=agent.base_url).ok


def test_a_site_without_its_token() -> None:
    with LocalSite(agent=greet) as agent:
        report = doctor(site=agent.base_url)
        status, message, hint = find(report, "site")
        assert (status, "COZE_SITE_TOKEN is not set" in message) == ("problem", True)
        assert "set COZE_SITE_TOKEN" in hint
        assert "No Coze token" not in str(report)
        assert agent.requests == []


def test_no_connection() -> None:
    port = find_free_port()
    report = doctor(api_key="pat_example", base_url=f"http://127.0.0.1:{port}", max_retries=0)
    status, message, _ = find(report, "server")
    assert status == "problem"
    assert f"could not be reached at 127.0.0.1:{port}" in message
    assert [check.name for check in report.checks] == ["server", "proxy"]


@pytest.mark.parametrize(
    ("status", "content_type", "reply", "problem", "advice"),
    [
        (502, "text/html", b"<html>Bad Gateway</html>", "HTTP 502: Bad Gateway", "A gateway"),
        (403, "text/html", b"<html>Blocked</html>", "HTTP 403: Blocked", "A gateway"),
        (429, "application/json", b"{}", "HTTP 429", "Requests are too frequent"),
        (200, "application/json", b'{"code":5000,"msg":"failed"}', "failed (code 5000", "internal"),
        (200, "application/json", b'{"code":0,"data":{"us', "should have sent JSON", "Try again"),
        (200, "text/html", b"<html>Coze</html>", "should have sent JSON", "Check base_url"),
    ],
)
def test_a_failure_of_the_server_is_reported_once_and_not_as_one_of_the_token(
    status: int, content_type: str, reply: bytes, problem: str, advice: str
) -> None:
    with serve_script(replies=[reply] * 4, content_type=content_type, status=status) as server:
        report = doctor(api_key="pat_example", base_url=server.base_url, bot_id="5", max_retries=0)
    assert [check.name for check in report.checks] == ["server", "proxy"]
    told, message, hint = find(report, "server")
    assert told == "problem"
    assert message.startswith(f"{server.base_url} (a server on this machine): ")
    assert problem in message
    assert advice in hint
    assert "token" not in message


def test_a_gateway_that_knows_no_users_and_fails_has_not_accepted_the_token() -> None:
    replies: dict[str, tuple[int, Any]] = {"/v1/users/me": (404, {}), "/v1/bots/5": (502, {})}

    def answer(request: httpx.Request) -> httpx.Response:
        status, body = replies[request.url.path]
        return httpx.Response(status, json=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        report = doctor(api_key="pat_example", bot_id="5", http_client=client)
    assert "HTTP 502" in find(report, "server")[1]
    assert [check.name for check in report.checks] == ["server", "proxy"]


def fail() -> Any:
    return 1 / 0


@pytest.mark.parametrize(
    ("fields", "name", "setting"),
    [
        ({"default_headers": fail}, "server", "default_headers="),
        ({"api_key": fail}, "token", "api_key="),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_exception_of_a_function_of_the_user_is_a_problem(
    coze: LocalCoze, fields: dict[str, Any], name: str, setting: str, lang: Any
) -> None:
    report = examine(coze, bot_id=BOT.bot_id, lang=lang, **fields)
    status, message, hint = find(report, name)
    assert status == "problem"
    assert f"{setting} " in message
    assert "ZeroDivisionError" in message
    assert ("Call" if lang == "en" else "请单独调用") in hint
    assert sum(check.status == "problem" for check in report.checks) == 1
    assert coze.requests == []


def test_a_wrong_result_of_the_header_function_is_reported_once(coze: LocalCoze) -> None:
    report = examine(coze, bot_id=BOT.bot_id, default_headers=lambda: 5)
    assert "default_headers returned a" in find(report, "server")[1]
    assert [check.name for check in report.checks] == ["server", "proxy"]


def test_another_language_is_refused_before_anything_is_sent(coze: LocalCoze) -> None:
    with pytest.raises(CozeInvalidRequestError, match=r"lang is 'fr'\.\nHint: Pass lang="):
        examine(coze, lang="fr")
    assert coze.requests == []


@pytest.mark.parametrize(
    ("fields", "problem", "advice"),
    [
        ({"timeout": "soon"}, "timeout must be", "Correct the setting timeout=."),
        ({"server": "cn"}, "server must be", "Correct the setting server=."),
        ({"max_retries": -1}, "max_retries: Input should", "Correct the setting max_retries=."),
        ({"default_headers": {"X": "茶"}}, "The header 'X'", "the setting default_headers=."),
        ({"base_url": "coze"}, "base_url must be", "the setting base_url= / COZE_API_BASE."),
    ],
)
def test_the_wrong_setting_is_named_once(
    coze: LocalCoze, fields: dict[str, Any], problem: str, advice: str
) -> None:
    report = examine(coze, bot_id=BOT.bot_id, **fields)
    (check,) = report.checks
    assert check.message.startswith(problem)
    assert check.hint.endswith(advice)
    assert coze.requests == []


def test_a_setting_of_the_api_and_of_the_site_is_named_once(coze: LocalCoze) -> None:
    (check,) = examine(coze, site="http://127.0.0.1:9", timeout=-1).checks
    assert check.hint == "Correct the setting timeout=."
    report = doctor(site="https://coze.cn")
    assert find(report, "site")[2] == "Correct the setting --site / COZE_SITE_BASE."


def test_every_check_is_one_line_without_control_characters() -> None:
    knowledge = LocalKnowledge(["Tea."], name="k\nb")
    bot = LocalBot(greet, name="two\nlines \x1b[31mred", knowledge=knowledge)
    with LocalCoze(bot) as coze:
        report = examine(coze, bot_id=coze.bots[0].bot_id)
    assert "two lines [31mred, published; knowledge bases: k b;" in find(report, "bot")[1]
    assert len(str(report).splitlines()) == len(report.checks) + 1
    assert "\x1b" not in str(report)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_error_is_told_in_the_language_with_what_the_server_said(
    coze: LocalCoze, lang: Any
) -> None:
    chinese = {
        "token": ({"api_key": "pat_wrong_token"}, "令牌未通过验证（"),
        "bot": ({"bot_id": "7400"}, "不存在或未发布（"),
        "server": ({"base_url": f"http://127.0.0.1:{find_free_port()}"}, "无法连接（"),
    }
    for name, (fields, text) in chinese.items():
        message = find(examine(coze, lang=lang, max_retries=0, **fields), name)[1]
        assert (text in message) == (lang == "zh")
        assert re.search("[a-z]{5}", message)


def test_the_clock(coze: LocalCoze) -> None:
    try:
        coze.clock_offset = 90
        assert re.fullmatch("this computer's clock is (89|9[01]) s behind", find_clock(coze))
        coze.clock_offset = -90
        assert re.fullmatch("this computer's clock is (89|9[01]) s ahead", find_clock(coze))
    finally:
        coze.clock_offset = 0.0


def find_clock(coze: LocalCoze) -> str:
    status, message, hint = find(examine(coze), "clock")
    assert (status, "NTP" in hint) == ("problem", True)
    return message


def test_a_token_without_workspaces() -> None:
    pages = [b'{"code":0,"data":{"user_name":"ada"}}', b'{"code":0,"data":{"workspaces":[]}}']
    with serve_script(replies=pages, content_type="application/json") as server:
        report = doctor(api_key="pat_example", base_url=server.base_url)
    assert find(report, "token")[1] == "accepted, user ada"
    assert find(report, "workspaces")[:2] == ("problem", "the token sees none")


def test_a_token_that_may_not_read_its_user_is_accepted() -> None:
    reply = b'{"code":4101,"msg":"Your token does not have permission to access resource."}'
    with serve_script(replies=[reply], content_type="application/json") as server:
        report = doctor(api_key="pat_example", base_url=server.base_url)
    assert find(report, "token")[0] == "ok"
    assert "permissions" in find(report, "workspaces")[2]


def test_the_proxy(coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:secret-word@127.0.0.1:9")
    report = doctor(api_key="pat_example", max_retries=0)  # of coze.cn; the proxy is not there
    assert find(report, "server")[1].startswith("https://api.coze.cn (coze.cn): Coze could not")
    assert find(report, "proxy")[1] == "http://127.0.0.1:9 (HTTPS_PROXY)"
    assert "Check that the proxy is running" in find(report, "server")[2]
    assert "secret-word" not in str(report)
    monkeypatch.setenv("HTTPS_PROXY", "ftp://127.0.0.1:9")
    monkeypatch.setenv("COZE_SITE_TOKEN", "eyJhbGciOi")
    report = doctor(api_key="pat_example", max_retries=0, site="https://abcdefghij.coze.site")
    assert [(check.name, check.status) for check in report.checks] == [
        ("server", "ok"),
        ("proxy", "problem"),
    ]
    with httpx.Client(trust_env=False) as client:
        report = examine(coze, http_client=client)
    assert "your own HTTP client" in find(report, "proxy")[1]


@pytest.mark.parametrize(
    ("base_url", "server", "kind"),
    [
        ("https://api.coze.com", "auto", "coze.com"),
        ("https://coze.example.org", "auto", "self-hosted Coze Studio"),
        ("https://coze.example.org", "cloud", "a gateway to Coze"),
        ("http://127.0.0.1:8888", "auto", "self-hosted Coze Studio"),
    ],
)
def test_the_kind_of_server(base_url: str, server: Any, kind: str) -> None:
    user = {"code": 0, "data": {"user_name": "ada"}}
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=user)))
    report = doctor(
        api_key="pat_example", base_url=base_url, server=server, http_client=client, max_retries=0
    )
    assert find(report, "server")[1] == f"{base_url} ({kind})"


def test_studio() -> None:
    with LocalCoze(BOT, workflows=book, profile="studio") as coze:
        ids = {"bot_id": BOT.bot_id, "workflow_id": coze.workflows[0].workflow_id}
        report = examine(coze, server="studio", **ids)
        assert report.ok
        assert find(report, "token")[1] == "accepted"
        assert find(report, "workspaces")[0] == find(report, "workflow")[0] == "unknown"
        assert "greeter, published" in find(report, "bot")[1]
        report = examine(coze, server="studio", api_key="pat_wrong_token")
        assert find(report, "token")[0] == "problem"


def test_coze_site(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalSite(agent=greet) as agent, LocalSite(workflow=book) as workflow:
        monkeypatch.setenv("COZE_SITE_TOKEN", agent.token)
        report = doctor(site=agent.base_url, chat=True)
        assert [check.name for check in report.checks] == ["proxy", "site", "chat"]
        assert find(report, "site")[1] == f"{agent.base_url}: an agent"
        assert find(report, "chat")[1] == "answered: Hi to you"
        report = doctor(site=workflow.base_url)
        assert find(report, "site")[0] == "problem"  # the token of the other project
        monkeypatch.setenv("COZE_SITE_TOKEN", workflow.token)
        monkeypatch.setenv("COZE_SITE_BASE", workflow.base_url)
        inputs = "city (required), nights"
        assert find(doctor(), "site")[1] == f"{workflow.base_url}: a workflow; inputs: {inputs}"
        assert {request.path for request in workflow.requests} == {"/graph_parameter"}
        assert find(doctor(site="https://coze.cn"), "site")[0] == "problem"


# --- The command ---------------------------------------------------------------------------------


def run_command(
    *arguments: str, encoding: str = "utf-8", **variables: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COZE_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "langchain_coze", "doctor", *arguments],
        env=kept | variables | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        cwd=ROOT,
        capture_output=True,
        encoding=encoding,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_the_command_reads_the_environment_and_exits_with_its_result(coze: LocalCoze) -> None:
    environment = {**coze.environment, "COZE_WORKFLOW_ID": coze.workflows[0].workflow_id}
    done = run_command(**environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "All checks passed."
    assert "book; inputs: city" in done.stdout
    done = run_command("--bot", DRAFT.bot_id, "--json", "--lang", "zh", **coze.environment)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    (problem,) = [check for check in told["checks"] if check["status"] == "problem"]
    assert problem["name"] == "bot"
    assert problem["hint"].startswith("请在扣子中发布")
    assert coze.token not in done.stdout
    done = run_command("--lang", "fr")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_the_command_prints_whatever_the_character_set(coze: LocalCoze, encoding: str) -> None:
    arguments = ["--bot", DRAFT.bot_id, "--lang", "zh"]
    done = run_command(*arguments, encoding=encoding, **coze.environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert "not been published" in done.stdout
    assert "\\u2192" in done.stdout  # the arrow before what to do
    done = run_command(*arguments, "--json", encoding=encoding, **coze.environment)
    assert done.returncode == 1
    assert json.loads(done.stdout)["checks"][-1]["hint"].startswith("请在扣子中发布")
    done = run_command("--help", encoding=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "COZE_API_TOKEN" in done.stdout
