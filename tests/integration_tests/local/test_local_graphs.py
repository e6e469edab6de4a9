"""A LangGraph graph as a Coze bot: served by the command, read as bytes and by ChatCoze."""

import json
import subprocess
import sys
import time

import httpx

from langchain_coze import ChatCoze
from tests.conformance.served_graph import ANSWER, QUESTION, ROOT, served_graph
from tests.integration_tests.local.local_client import events, user

DELTA = "conversation.message.delta"


def test_the_command_streams_the_tokens_of_a_graph() -> None:
    with served_graph() as graph:
        body = {"bot_id": graph.bot_id, "user_id": "u", "stream": True}
        body |= {"additional_messages": [user(QUESTION)]}
        arrivals: list[tuple[float, str]] = []
        whole = b""
        with httpx.stream(
            "POST",
            f"{graph.base_url}/v3/chat",
            json=body,
            headers={"Authorization": f"Bearer {graph.token}"},
            timeout=20,
            trust_env=False,
        ) as response:
            for part in response.iter_raw():
                whole += part
                arrivals.append((time.monotonic(), part.decode("utf-8", "replace")))
        told = events(httpx.Response(200, content=whole))
        model = ChatCoze(bot_id=graph.bot_id, api_key=graph.token, base_url=graph.base_url)
        chunks = [chunk.text for chunk in model.stream("Where does rice grow?") if chunk.text]
    deltas = [data["content"] for name, data in told if name == DELTA]
    assert deltas == [f"{word} " for word in ANSWER.split()]
    said = [d for n, d in told if n == "conversation.message.completed" and d["type"] == "answer"]
    assert [message["content"] for message in said] == [ANSWER]
    # Token by token, not all at the end: nine words of a model that pauses before each.
    times = [at for at, part in arrivals if DELTA in part]
    assert len(times) >= 5
    assert times[-1] - times[0] > 0.1
    assert len(chunks) >= 5
    assert "".join(chunks) == "Rice grows in fields that stand under water. "


def test_the_state_of_the_graph_stays_in_it() -> None:
    with served_graph() as graph:
        body = {"bot_id": graph.bot_id, "user_id": "u", "stream": True}
        asked = [user("tea"), user("Yes.", role="assistant", type="answer"), user("And weather?")]
        reply = httpx.post(
            f"{graph.base_url}/v3/chat",
            json=body | {"additional_messages": asked},
            headers={"Authorization": f"Bearer {graph.token}"},
            trust_env=False,
        )
    answers = [d for _, d in events(reply) if isinstance(d, dict) and d.get("type") == "answer"]
    assert answers[-1]["content"] == "I know of tea and of rice only. "
    assert "topic" not in json.dumps(answers)


def test_the_example_runs_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "serve_graph.py"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{ANSWER}\n"
