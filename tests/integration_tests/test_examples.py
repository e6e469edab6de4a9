"""The examples print what they promise, run as separate programs against local servers."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unicodedata
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


DEMO_ENGLISH = """\
A server on this machine plays Coze: no account needed.
To ask your own bot, set COZE_API_TOKEN and COZE_BOT_ID.

You    What can I do if an item arrives damaged?
Bot    If an item arrives damaged, send us a photo within 7 days. We refund it
       or send a new one, and you can keep the damaged item.
Source 0.74 Damaged items https://shop.example/help/1
       0.42 Returns https://shop.example/help/2
Tokens 69 in, 32 out

You    Then please refund the cup of order 1024.
Bot    runs the workflow refund_cup with order=1024
Flow   Looking up order 1024
Flow   asks you: Order 1024, 1 cup, 86 yuan. Approve the refund? (yes / no)
You    yes
Flow   {"approved":true}
Bot    Done. We have refunded 86 yuan for the cup.
Tokens 77 in, 11 out

Requests: 1 to start the workflow, 1 to resume it with the answer.
"""


def test_quickstart_answers_with_sources_and_resumes_a_workflow() -> None:
    done = run_example("quickstart.py", "--lang", "en")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == DEMO_ENGLISH


@pytest.mark.parametrize(
    ("environment", "begin"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "本机的服务模拟扣子"),
        ({"LANG": "de_DE.UTF-8"}, "A server on this machine"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "A server on this machine"),
    ],
)
def test_quickstart_speaks_the_language_of_its_environment(
    environment: dict[str, str], begin: str
) -> None:
    kept = {name: text for name, text in build_environment().items() if not name.startswith("LC_")}
    done = run_example("quickstart.py", env=kept | environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(begin)
    assert max(map(measure, done.stdout.splitlines())) <= 80


def measure(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def test_quickstart_uses_the_account_of_the_environment() -> None:
    tea = LocalBot(name="tea", knowledge=LocalKnowledge(["Tea grows on hills."]))
    with LocalCoze(tea) as coze:
        env = build_account_environment(coze)
        done = run_example("quickstart.py", "--lang", "en", "Where does tea grow?", env=env)
        assert [request.path for request in coze.requests] == ["/v3/chat"]
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{tea.bot_id} at http://127.0.0.1:{coze.port}" in done.stdout
    assert "Tea grows on\n       hills." in done.stdout
    assert "Source 0." in done.stdout
    assert coze.token not in done.stdout


def test_quickstart_does_without_sources_and_suggestions() -> None:
    with LocalCoze(lambda question: question.upper()) as coze:
        env = build_account_environment(coze) | {"LC_ALL": "C.UTF-8"}
        done = run_example("quickstart.py", "hello", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nBot    HELLO\nTokens " in done.stdout


def test_quickstart_lets_a_person_type_questions_to_their_own_bot() -> None:
    with LocalCoze(lambda question: question.upper()) as coze:
        env = build_account_environment(coze) | {"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        text = run_in_terminal("--lang", "en", typed="how are you?\nand now?\n\n", env=env)
        asked = [request.body["additional_messages"][-1]["content"] for request in coze.requests]
    assert asked == ["how are you?", "and now?"]
    assert "Bot    HOW ARE YOU?\n" in text
    assert "Bot    AND NOW?\n" in text


def test_quickstart_lets_a_person_answer_the_workflow() -> None:
    env = build_environment() | {"NO_COLOR": "1"}
    text = run_in_terminal("--lang", "en", typed="no\n\n", env=env)
    assert 'You    [yes] Flow   {"approved":false}\n' in text
    assert "Bot    The refund was not approved. A colleague will write to you.\n" in text


def test_quickstart_ends_quietly_where_its_output_is_cut() -> None:
    command = f"{sys.executable} {QUICKSTART} --lang en | head -n 1"
    done = subprocess.run(
        [shutil.which("bash") or pytest.skip("no bash"), "-o", "pipefail", "-c", command],
        env=build_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=MAX_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == DEMO_ENGLISH.partition("\n")[0] + "\n"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_of_the_readme_shows_what_the_demo_prints(language: str) -> None:
    picture = (ROOT / "docs" / "pictures" / f"demo-{language}.svg").read_text("utf-8")
    shown = html.unescape("".join(re.findall(r"<text [^>]*>([^<]*)</text>", picture)))
    printed = run_example("quickstart.py", "--lang", language).stdout
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", "$ make demo" + printed)
    assert "http" not in picture.replace("http://www.w3.org/", "").replace("https://shop.", "")
    assert len(picture) < 300_000


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
    env = build_environment() | {"TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    text = run_in_terminal("--lang", "en", typed="\n\n", env=env)
    assert "\x1b[36mYou" in text
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert text.partition("Type a question")[0].replace("[yes] ", "yes\n") == DEMO_ENGLISH


def run_in_terminal(*arguments: str, typed: str, env: Mapping[str, str]) -> str:
    """Run the demo in a terminal without echo, type ahead, and return what the terminal shows."""
    ours, theirs = pytest.importorskip("pty").openpty()
    termios = pytest.importorskip("termios")
    settings = termios.tcgetattr(theirs)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    os.write(ours, typed.encode())
    command = [sys.executable, str(QUICKSTART), *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        output = b""
        while part := read_terminal(ours):
            output += part
        assert process.wait(MAX_SECONDS) == 0, output.decode()
    os.close(ours)
    return output.decode().replace("\r\n", "\n")


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has ended
        return b""


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
    assert len(scores) == 2  # both that name Longjing
    assert scores == sorted(scores, reverse=True)
    assert "Longjing  https://example.com/longjing\n" in done.stdout
    assert "k=1, score_threshold=0.2: 龙井茶产自杭州西湖周围的山上。\n" in done.stdout
    waited, at_once, answered = map(float, re.findall(r": (\d+\.\d{3}) s", done.stdout))
    assert at_once < waited < answered
    assert waited >= 0.25
    assert answered >= 2
    assert done.stdout.endswith("model: 龙井茶产自杭州西湖周围的山上。 [1]\n")


def test_knowledge_index_keeps_a_folder_in_step_and_answers_with_sources(tmp_path: Path) -> None:
    done = run_example("knowledge_index.py")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = re.findall(r": {'num_added': (\d), .*'num_skipped': (\d),", done.stdout)
    assert (first, second) == (("2", "0"), ("0", "2"))
    assert re.search(r"^  0\.\d\d  longjing\.md$", done.stdout, re.MULTILINE)
    (tmp_path / "mint.md").write_text("Mint grows in shade.", "utf-8")
    base = LocalKnowledge((), name="mine")
    with LocalCoze(LocalBot(knowledge=base)) as coze:
        env = build_account_environment(coze) | {"COZE_DATASET_ID": base.dataset_id}
        done = run_example("knowledge_index.py", str(tmp_path), "Where does mint grow?", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "According to “mint.md” in my knowledge base: Mint grows in shade." in done.stdout
    assert len(base) == 1


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
    assert "And once more?" in done.stdout
