"""The examples print what they promise, run as separate programs against local servers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from langchain_coze.local import (
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalOAuthApp,
    LocalSite,
    LocalWorkflow,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "examples" / "quickstart.py"
MAX_SECONDS = 60
WRONG_TOKEN = "pat_" + "wrong" * 8
ENDED_BY_CTRL_C = 0


def build_environment(**coze: str) -> dict[str, str]:
    """Return the environment of a user whose only Coze settings are the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COZE_")}
    return kept | {f"COZE_{name}": value for name, value in coze.items()}


def run_example(
    name: str, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / name, *arguments],
        env=env or build_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=MAX_SECONDS,
        check=False,
    )


def build_account_environment(coze: LocalCoze, token: str = "") -> dict[str, str]:
    """Return the environment of a user whose Coze is a local server."""
    bot_id = coze.bots[0].bot_id
    return build_environment(API_BASE=coze.base_url, API_TOKEN=token or coze.token, BOT_ID=bot_id)


def test_quickstart_answers_in_both_languages_with_sources() -> None:
    done = run_example("quickstart.py")
    assert (done.returncode, done.stderr) == (0, "")
    english, chinese = re.split(r"^> ", done.stdout, flags=re.MULTILINE)[1:]
    for turn, begin, page in (
        (english, "According to “", "(docs/en/"),
        (chinese, "根据知识库中的《", "(docs/zh/"),
    ):
        answer, sources = turn.split("Sources / 来源\n")
        assert answer.split("\n")[1].startswith(begin)
        scores = re.findall(r"^  (0\.\d\d|1\.00)  .*\.md\)$", sources, re.MULTILINE)
        assert scores
        assert float(scores[0]) > 0.4  # the question fits the documentation
        assert page in sources
        tokens = re.search(r"^  (\d+) in \+ (\d+) out = (\d+)$", sources, re.MULTILINE)
        assert tokens
        assert int(tokens[1]) + int(tokens[2]) == int(tokens[3]) > 0
        assert len(re.findall(r"^  - .+[?？]$", sources, re.MULTILINE)) == 2


def test_quickstart_says_which_coze_it_talks_to() -> None:
    done = run_example("quickstart.py", "What is ChatCoze?")
    assert done.stdout.startswith("Local Coze server at http://127.0.0.1:")
    assert "set COZE_API_TOKEN, COZE_BOT_ID" in done.stdout
    assert re.findall(r"^> (.*)", done.stdout, re.MULTILINE) == ["What is ChatCoze?"]


def test_quickstart_talks_to_the_account_of_the_environment() -> None:
    tea = LocalBot(name="tea", knowledge=LocalKnowledge(["Tea grows on hills."]))
    with LocalCoze(tea) as coze:
        done = run_example(
            "quickstart.py", "Where does tea grow?", env=build_account_environment(coze)
        )
        assert [request.path for request in coze.requests] == ["/v3/chat"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Coze, bot {tea.bot_id} at http://127.0.0.1:{coze.port}\n")
    assert "Tea grows on hills." in done.stdout
    assert coze.token not in done.stdout


def test_quickstart_does_without_sources_and_suggestions() -> None:
    with LocalCoze(lambda question: question.upper()) as coze:
        done = run_example("quickstart.py", "hello", env=build_account_environment(coze))
    assert (done.returncode, done.stderr) == (0, "")
    assert "HELLO" in done.stdout
    assert "No sources / 没有来源" in done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "quickstart.py",
        "chain.py",
        "langgraph_node.py",
        "multimodal.py",
        "retriever.py",
        "citations.py",
    ],
)
def test_a_wrong_token_is_reported_with_a_hint_and_not_shown(name: str) -> None:
    with LocalCoze() as coze:
        done = run_example(name, env=build_account_environment(coze, token=WRONG_TOKEN))
    assert done.returncode == 1
    # A chat says 4101, other calls 700012006 (wire 1.5): this example uploads a file first.
    code = 700012006 if name == "multimodal.py" else 4101
    assert f"code {code}" in done.stderr
    assert "Hint: Check COZE_API_TOKEN" in done.stderr
    assert "提示：请检查 COZE_API_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr
    assert WRONG_TOKEN not in done.stdout + done.stderr


def test_quickstart_in_a_terminal_says_the_same_in_colour() -> None:
    ours, theirs = pytest.importorskip("pty").openpty()
    command = [sys.executable, str(QUICKSTART), "What is ChatCoze?"]
    env = build_environment() | {"TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        output = b""
        while part := read_terminal(ours):
            output += part
        assert process.wait(MAX_SECONDS) == 0
    os.close(ours)
    text = output.decode().replace("\r\n", "\n")
    assert "\x1b[" in text
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert remove_port(text) == remove_port(
        run_example("quickstart.py", "What is ChatCoze?").stdout
    )


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has ended
        return b""


def remove_port(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "", text)


def test_chain_invokes_streams_and_batches() -> None:
    done = run_example("chain.py")
    assert (done.returncode, done.stderr) == (0, "")
    for begin in (
        "invoke: ",
        "stream: ",
        "batch, a knowledge base in Coze: ",
        "batch, error 4015: ",
    ):
        assert f"\n{begin}According to “" in done.stdout, begin


def test_langgraph_node_keeps_the_history() -> None:
    done = run_example("langgraph_node.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "That is question 1; the first was 'What is LangGraph?'." in done.stdout
    assert "That is question 2; the first was 'What is LangGraph?'." in done.stdout


def test_multimodal_uploads_bytes_and_passes_a_link_on() -> None:
    with LocalCoze(lambda _, turn: f"{turn.files[0].name}{turn.files[0].url}") as coze:
        done = run_example("multimodal.py", env=build_account_environment(coze))
        uploads = [request.path for request in coze.requests].count("/v1/files/upload")
    assert (done.returncode, done.stderr, uploads) == (0, "", 1)
    assert done.stdout.splitlines()[-2:] == [
        "square.png",
        "https://www.python.org/static/img/python-logo.png",
    ]


def test_multimodal_prints_what_the_local_bot_received() -> None:
    done = run_example("multimodal.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^I was sent an image: square\.png, \d+ bytes\.$", done.stdout, re.MULTILINE)
    assert "I was sent an image: the link https://www.python.org/" in done.stdout
    assert done.stdout.count("The bot's own image: https://example.com/painted.png\n") == 2


def test_chatflow_asks_questions_and_continues() -> None:
    done = run_example("chatflow.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "user: Tea, please.",
        "chatflow: Which tea? / Longjing / Pu'er",
        "user: Longjing",
        "chatflow: Which size? / small / large",
        "user: large",
        "chatflow: Tea, please. One large Longjing, coming, Ada.",
    ]


def test_leave_early_cancels_only_with_cancel_on_close() -> None:
    done = run_example("leave_early.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "break: /v3/chat",
        "break, cancel_on_close: /v3/chat /v3/chat/cancel",
        "async, cancel_on_close: /v3/chat /v3/chat/cancel",
        "max_duration: The call took longer than max_duration allows.",
        "max_duration, cancel_on_close: /v3/chat /v3/chat/cancel",
    ]


def test_retriever_has_the_documents_long_before_the_answer() -> None:
    done = run_example("retriever.py")
    assert (done.returncode, done.stderr) == (0, "")
    scores = re.findall(r"^  \d\. (0\.\d\d)  ", done.stdout, re.MULTILINE)
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert "Longjing  https://example.com/longjing\n" in done.stdout
    assert "k=1, score_threshold=0.2: 龙井茶产自杭州西湖周围的山上。\n" in done.stdout
    waited, at_once, answered = map(float, re.findall(r": (\d+\.\d{3}) s", done.stdout))
    assert at_once < waited < answered
    assert waited >= 0.25
    assert answered >= 2
    assert done.stdout.endswith("model: 龙井茶产自杭州西湖周围的山上。 [1]\n")


def test_retriever_searches_the_account_of_the_environment() -> None:
    rice = LocalBot(name="rice", knowledge=["Rice grows in water."])
    with LocalCoze(rice) as coze:
        done = run_example(
            "retriever.py", "Where does rice grow?", env=build_account_environment(coze)
        )
        assert {request.path for request in coze.requests} == {"/v3/chat"}
        kept = [request.body["auto_save_history"] for request in coze.requests]
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(kept)
    assert done.stdout.endswith("model: Rice grows in water. [1]\n")
    assert coze.token not in done.stdout


def test_citations_are_numbered_and_come_with_the_answer() -> None:
    with LocalCoze() as coze:
        done = run_example("citations.py", env=build_account_environment(coze))
        assert [request.path for request in coze.requests] == ["/v3/chat"] * 2
    assert (done.returncode, done.stderr) == (0, "")
    english, chinese = re.split(r"^> ", done.stdout, flags=re.MULTILINE)[1:]
    for turn, title in ((english, "Workflows in Coze  "), (chinese, "把智能体发布到 API  ")):
        answer, listed = turn.split("\nSources / 来源\n")
        sources = re.findall(r"^  (\[\d\]) (.*)$", listed, re.MULTILINE)
        assert re.search(r"[.。]((?: \[\d\])+)$", answer)
        assert [number for number, _ in sources] == re.findall(r"\[\d\]", answer)
        assert sources[0][1].startswith(f"{title}https://www.coze.c")
        assert re.search(r"^      0\.\d\d  ", listed, re.MULTILINE)


def test_citations_do_without_sources() -> None:
    with LocalCoze(lambda question: question.upper()) as coze:
        done = run_example("citations.py", "hello", env=build_account_environment(coze))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("> hello\nHELLO\nNo sources / 没有来源\n\n")


def test_knowledge_workflow_searches_without_a_model() -> None:
    done = run_example("knowledge_workflow.py")
    assert (done.returncode, done.stderr) == (0, "")
    english, chinese, named = re.findall(r"^  (.*)$", done.stdout, re.MULTILINE)
    assert english.startswith("Longjing tea grows on the hills")
    assert chinese.startswith("龙井茶产自杭州西湖")
    assert "'score'" not in english + chinese  # a knowledge node has none
    assert named.startswith("Pu'er tea grows in Yunnan.  {'score': 0.")
    assert "'document_name': 'tea_2'" in named
    assert done.stdout.endswith("requests / 请求:" + " /v1/workflow/run" * 3 + "\n")


def test_workflow_tool_is_used_by_programs_and_agents() -> None:
    done = run_example("workflow_tool.py")
    assert (done.returncode, done.stderr) == (0, "")
    parts = re.split(r"^> .*\n", done.stdout, flags=re.MULTILINE)
    schema, program, agent, progress, failures = parts
    assert schema.splitlines() == [
        "write_poem: Write a poem.",
        "  topic (string): What it is about.",
        "  lines (integer): How many lines, at most 2.",
    ]
    assert json.loads(program) == {"title": "Tea", "poem": "Green leaves at dawn,"}
    fields = dict(line.split(": ", 1) for line in agent.splitlines())
    assert fields["output"] == json.loads(fields["content"])["title"] == "Tea"
    assert fields["tokens"] == "42"
    assert fields["debug_url"].startswith("https://www.coze.cn/work_flow?execute_id=")
    assert [line.split(":")[0].strip() for line in progress.splitlines()] == [
        "Plan",
        "Write",
        "Write",
        "End",
    ]
    refused, unsent = re.findall(r"^error: (.*)", failures, re.MULTILINE)
    assert refused.startswith("lines is at most 2")
    assert unsent == "topic is missing. The parameters of the workflow: topic, lines."


def test_site_agent_remembers_and_forks() -> None:
    done = run_example("site_agent.py")
    assert (done.returncode, done.stderr) == (0, "")
    _, streamed, tools, memory, fork, usage = re.split(r"^> .*\n", done.stdout, flags=re.MULTILINE)
    assert streamed.startswith("Question 1: A Coze workflow")
    assert tools == "search_documents({'query': 'What is a knowledge base in Coze?'})\n"
    assert memory.startswith("Question 2: ")
    assert memory.endswith("same session: True\n")
    assert fork == "same session: False\n"
    assert re.fullmatch(r"tokens: \d+\n", usage)


def test_site_agent_asks_the_project_of_the_environment() -> None:
    with LocalSite(agent=lambda question: f"heard {question}") as site:
        done = run_example("site_agent.py", env=build_environment() | site.environment)
        assert done.returncode == 0
        assert "heard And what is a plugin?" in done.stdout
        wrong = run_example(
            "site_agent.py",
            env=build_environment(SITE_BASE=site.base_url, SITE_TOKEN="eyJ" + "x" * 40),
        )
    assert wrong.returncode == 1
    assert "COZE_SITE_TOKEN" in wrong.stderr
    assert "xxxx" not in wrong.stderr


def test_site_workflow_is_used_by_programs_and_agents() -> None:
    done = run_example("site_workflow.py")
    assert (done.returncode, done.stderr) == (0, "")
    schema, program, progress, task, failure = re.split(r"^> .*\n", done.stdout, flags=re.MULTILINE)
    assert schema.splitlines()[1] == "  city (string): Which city."
    assert json.loads(program) == {"booked": "2 night(s) in 杭州"}
    assert progress.split() == ["book:", "running", "book:", "done"]
    assert task.splitlines()[1] == "output: 1 night(s) in 北京"
    assert "nights is at most 7 (code 201003, run_id " in failure


def test_toolkit_makes_a_tool_of_each_workflow() -> None:
    done = run_example("toolkit.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^([a-z_]+\w*): [^{]", done.stdout, re.MULTILINE) == [
        "count_words",
        "book_room",
        "search_knowledge",
        f"coze_workflow_{LocalWorkflow(len_of, name='订位').workflow_id}",
    ]
    assert "  people (integer)\n" in done.stdout
    assert done.stdout.endswith('count_words: {"words": 4, "characters": 18, "longest": "small"}\n')


def len_of(text: str) -> int:
    return len(text)


def test_toolkit_lists_the_workspace_of_the_environment() -> None:
    with LocalCoze(workflows=len_of) as coze:
        env = build_environment(
            API_BASE=coze.base_url, API_TOKEN=coze.token, WORKSPACE_ID=coze.workspace_id
        )
        done = run_example("toolkit.py", env=env)
        methods = {request.method for request in coze.requests}
        wrong = run_example("toolkit.py", env=env | {"COZE_API_TOKEN": WRONG_TOKEN})
    assert (done.returncode, done.stderr, methods) == (0, "", {"GET"})
    assert done.stdout.startswith("len_of: ")
    assert wrong.returncode == 1
    assert "提示：" in wrong.stderr
    assert WRONG_TOKEN not in wrong.stdout + wrong.stderr


def test_studio_reports_usage() -> None:
    done = run_example("studio.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("According to “Workflows in Coze”")
    assert "source 0.83: Workflows in Coze\n" in done.stdout
    assert re.search(r"^usage: .*'total_tokens': [1-9]", done.stdout, re.MULTILINE)


def test_tracing_shows_a_run_and_a_failed_one() -> None:
    done = run_example("tracing.py")
    assert (done.returncode, done.stderr) == (0, "")
    good, bad = re.split(r"^run: ", done.stdout, flags=re.MULTILINE)[1:]
    assert re.search(r"provider and model: coze \d{19}$", good, re.MULTILINE)
    assert "input: What is a Coze workflow?" in good
    assert "output: According to “Workflows in Coze”" in good
    assert re.search(r"usage: [1-9]\d* tokens$", good, re.MULTILINE)
    error = re.search(r"error: CozeQuotaError: .* \(code 4028, logid (\w+)\)$", bad, re.MULTILINE)
    assert error
    assert f"'detail': {{'logid': '{error[1]}'}}" in bad
    assert f"raised: CozeQuotaError, logid {error[1]}" in bad
    assert "pat_" not in done.stdout


def test_oauth_jwt_keeps_the_conversations_of_users_apart() -> None:
    done = run_example("oauth_jwt.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Ada: 'Who am I?': this conversation began with 'Hello, I am Ada'." in done.stdout
    assert "Ben may not read it: Invalid conversation" in done.stdout


def test_oauth_jwt_takes_the_app_of_the_environment(tmp_path: Path) -> None:
    app, key = LocalOAuthApp(), tmp_path / "private_key.pem"
    key.write_text(app.private_key)
    with LocalCoze(LocalBot(lambda _: "hello", name="hello"), oauth_apps=app) as coze:
        env = build_environment(
            API_BASE=coze.base_url,
            BOT_ID=coze.bots[0].bot_id,
            JWT_OAUTH_CLIENT_ID=app.client_id,
            JWT_OAUTH_PRIVATE_KEY_FILE_PATH=str(key),
            JWT_OAUTH_PUBLIC_KEY_ID=app.key_id,
        )
        done = run_example("oauth_jwt.py", env=env)
        wrong = run_example("oauth_jwt.py", env=env | {"COZE_JWT_OAUTH_PUBLIC_KEY_ID": "7"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Ada: hello\n")
    assert wrong.returncode == 1
    assert "invalid_client" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_serve_runnable_asks_its_own_bot() -> None:
    done = run_example("serve_runnable.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "three two one"


def test_serve_runnable_is_served_by_the_command_line() -> None:
    command = [sys.executable, "-m", "langchain_coze.local", "examples.serve_runnable:bot"]
    with subprocess.Popen(
        command, cwd=ROOT, env=build_environment(), stdout=subprocess.PIPE, encoding="utf-8"
    ) as server:
        try:
            assert server.stdout
            variables: dict[str, str] = {}
            while "BOT_ID" not in variables:
                line = server.stdout.readline()
                assert line, "the server has ended"
                variables.update(re.findall(r"export COZE_(\w+)=(\S+)", line))
            done = run_example("quickstart.py", "one two three", env=build_environment(**variables))
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(MAX_SECONDS) == ENDED_BY_CTRL_C
    assert (done.returncode, done.stderr) == (0, "")
    assert "three two one" in done.stdout
    assert "  - And once more?" in done.stdout
