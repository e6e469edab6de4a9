"""LocalSite sends what the real server code sent: the recorded requests, replayed."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from langchain_coze.local import LocalSite, Reasoning
from tests.integration_tests.local.site_projects import (
    ask,
    build_agent,
    build_other_agent,
    build_parallel_workflow,
    build_workflow,
    describe,
    first,
    is_broken,
    read_frames,
    read_recorded,
    replay,
    second,
    third,
)
from tests.site_recordings import read_site_body, read_site_json


@pytest.fixture(scope="module")
def agent() -> Iterator[LocalSite]:
    with LocalSite(agent=build_agent()) as site:
        yield site


@pytest.fixture(scope="module")
def workflow() -> Iterator[LocalSite]:
    with LocalSite(workflow=build_workflow()) as site:
        yield site


AGENT_REPLIES = [
    "R01_short_answer",
    "R02_tool",
    "01_agent_short_answer",
    "02_agent_tool",
    "03_agent_parallel_tools",
    "05_agent_error_start_429",
    "06_agent_error_mid",
    "R06_error_start",
    "07e_messages_body",
    "07f_get",
    "07g_models",
    "07j_session_number",
    "07l_no_session_1",  # the second caller sees the memory of the first one
    "07m_no_session_2",
    "07n_local_msg_id",
    "07o_empty_prompt",
    "30i_unknown_block",
    "16_graph_parameter_agent",
    "18b_async_task_unknown",
    "18c_async_bad_deadline",
    "18d_async_neg_deadline",
    "18g_async_cancel",
    "08c_cancel_unknown",
    "20_oai_pristine_nonstream",
    "20b_oai_pristine_stream",
    "21_oai_no_session",
    "21b_oai_no_user",
    "23d_oai_bad_json",
    "24_poison_1",
    "24_poison_2",
    "24b_err_1",
    "24b_err_2",
    "31_agent_error_frame",
    "37_line_separators",
]


@pytest.mark.parametrize("name", AGENT_REPLIES)
def test_an_agent_replies_as_recorded(agent: LocalSite, name: str) -> None:
    assert describe(replay(agent, name)) == read_recorded(name)


@pytest.mark.parametrize("name", ["07c_list_body", "31c_prompt_null"])
def test_a_body_of_a_wrong_shape_breaks_the_connection(agent: LocalSite, name: str) -> None:
    response = replay(agent, name)
    assert describe(response) == read_recorded(name)
    assert is_broken(response)


@pytest.mark.parametrize(
    ("name", "nodes"),
    [("28_variant_nonstream_nodes", [first, second, third]), ("34_agent_interrupt", [ask])],
)
def test_other_graphs_reply_as_recorded(name: str, nodes: list[Any]) -> None:
    with LocalSite(agent=build_other_agent(*nodes)) as site:
        assert describe(replay(site, name)) == read_recorded(name)


def read_data(frames: bytes) -> list[Any]:
    return [json.loads(row) for row in re.findall(rb"^data: (.*)$", frames, re.MULTILINE)]


def think(_question: str) -> Iterator[Any]:
    yield Reasoning("先")
    yield Reasoning("想想")
    yield "好的"


def test_reasoning_is_sent_in_the_frames_that_the_server_code_defines() -> None:
    with LocalSite(agent=think) as site:
        frames = replay(site, "R01_short_answer").content
    recorded = read_data(read_site_body("R03_thinking_constructed"))
    rows = [row for row in read_data(frames) if row["type"] == "thinking"]
    assert [row["content"] for row in rows] == [row["content"] for row in recorded]
    assert [(r["finish"], r["sequence_id"]) for r in rows] == [(False, 2), (False, 3), (True, 4)]
    assert len({row["msg_id"] for row in rows}) == 1


# Cancelled runs and runs that take too long -------------------------------------------------------


def replay_and_cancel(site: LocalSite, name: str, run_id: str) -> tuple[httpx.Response, list[Any]]:
    replies: list[httpx.Response] = []

    def cancel() -> None:
        time.sleep(0.35)
        headers = {"Authorization": f"Bearer {site.token}"}
        for _ in range(2):
            url = f"{site.base_url}/cancel/{run_id}"
            replies.append(httpx.post(url, headers=headers, trust_env=False))
            time.sleep(0.2)

    thread = threading.Thread(target=cancel)
    thread.start()
    response = replay(site, name)
    thread.join()
    return response, [reply.json() for reply in replies]


def drop_answers(frames: str) -> str:
    """Drop what depends on the time: the answers, and the number of ids before the end."""
    return re.sub(
        r"<\d+>", "<>", re.sub(r'event: message\ndata: .*"type": "answer".*\n\n', "", frames)
    )


def test_an_agent_is_cancelled_as_recorded(agent: LocalSite) -> None:
    response, replies = replay_and_cancel(agent, "08_agent_cancel", "run-c1")
    status, kind, frames = read_recorded("08_agent_cancel")
    assert describe(response)[:2] == (status, kind)
    assert drop_answers(read_frames(response.content)) == drop_answers(frames)
    assert 1 <= response.content.count(b'"type": "answer"') <= 6
    assert is_broken(response)
    assert replies == [read_site_json(n) for n in ("08a_cancel_reply", "08b_cancel_again")]


def test_a_workflow_is_cancelled_as_recorded(workflow: LocalSite) -> None:
    response, replies = replay_and_cancel(workflow, "12e_wf_stream_cancelled", "run-w2")
    assert describe(response) == read_recorded("12e_wf_stream_cancelled")
    assert is_broken(response)
    assert replies[0] == read_site_json("12f_wf_cancel_reply")


def test_a_run_is_cancelled_as_recorded(workflow: LocalSite) -> None:
    headers = {"x-run-id": "run-w1"}
    body = json.dumps({"a": 1, "b": 2, "mode": "slow"})
    replies: list[Any] = []

    def cancel() -> None:
        time.sleep(0.3)
        url = f"{workflow.base_url}/cancel/run-w1"
        authorized = {"Authorization": f"Bearer {workflow.token}"}
        replies.append(httpx.post(url, headers=authorized, trust_env=False).json())

    thread = threading.Thread(target=cancel)
    thread.start()
    response = (
        replay(workflow, "13_wf_run", **headers, content=body)
        if False
        else httpx.post(
            f"{workflow.base_url}/run",
            content=body,
            headers=headers | {"Authorization": f"Bearer {workflow.token}"},
            trust_env=False,
        )
    )
    thread.join()
    cancelled = {"status": "cancelled", "run_id": "run-w1", "message": "Execution was cancelled"}
    assert (response.status_code, response.json()) == (200, cancelled)
    assert replies == [read_site_json("13h_wf_cancel_reply")]


def test_a_turn_that_takes_too_long_ends_as_recorded() -> None:
    with LocalSite(agent=build_agent(), run_timeout=0.6) as site:
        response = replay(site, "R09_timeout")
    status, kind, frames = read_recorded("R09_timeout")
    assert describe(response)[:2] == (status, kind)
    theirs = re.sub(r'"sequence_id": \d+', "", drop_answers(frames))
    assert re.sub(r'"sequence_id": \d+', "", drop_answers(read_frames(response.content))) == theirs


def test_a_run_that_takes_too_long_looks_cancelled() -> None:
    with LocalSite(workflow=build_workflow(), run_timeout=0.3) as site:
        response = replay(site, "13f_wf_run_timeout")
    assert describe(response) == read_recorded("13f_wf_run_timeout")


def test_a_workflow_that_takes_too_long_ends_as_recorded() -> None:
    with LocalSite(workflow=build_workflow(), run_timeout=0.5, ping=0.3) as site:
        frames = describe(replay(site, "11_wf_stream_ping"))[2]
    theirs = read_recorded("11_wf_stream_ping")[2]
    assert frames.replace("exceeded 0.5", "exceeded 2") == theirs


def test_pings_come_as_recorded() -> None:
    with LocalSite(workflow=build_workflow(), ping=0.4) as site:
        assert describe(replay(site, "R10_wf_ping")) == read_recorded("R10_wf_ping")


# Workflows, runs and tasks ------------------------------------------------------------------------

WORKFLOW_REPLIES = [
    "10_wf_stream",
    "10b_wf_stream_debug",
    "12_wf_stream_error",
    "12b_wf_stream_bad_input",
    "13_wf_run",
    "13i_wf_run_extra",
    "16b_graph_parameter_wf",
    "17_async_submit_wf",
    "18e_async_run_id",
]


@pytest.mark.parametrize("name", WORKFLOW_REPLIES)
def test_a_workflow_replies_as_recorded(workflow: LocalSite, name: str) -> None:
    assert describe(replay(workflow, name)) == read_recorded(name)


@pytest.mark.parametrize("name", ["35_wf_parallel_stream", "35b_wf_parallel_run"])
def test_parallel_nodes_reply_as_recorded(name: str) -> None:
    with LocalSite(workflow=build_parallel_workflow()) as site:
        response = replay(site, name)
    if name == "35_wf_parallel_stream":  # the last node only
        assert describe(response) == read_recorded(name)
    else:
        assert response.json().keys() - {"x"} == read_site_json(name).keys()


@pytest.mark.parametrize("name", ["13b_wf_run_error", "13c_wf_run_missing"])
def test_a_failed_run_replies_as_recorded(workflow: LocalSite, name: str) -> None:
    response = replay(workflow, name)
    ours, theirs = response.json()["detail"], read_site_json(name)["detail"]
    assert response.status_code == 500
    for key in ("error_code", "error_message"):
        assert ours[key] == theirs[key]
    assert ours["stack_trace"][0] == theirs["stack_trace"][0]
    ends = [
        trace[-1].partition(" and id ")[0] for trace in (ours["stack_trace"], theirs["stack_trace"])
    ]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", ["07_bad_json", "13d_wf_run_bad_json", "18h_async_bad_json"])
def test_bad_json_is_refused_as_recorded(workflow: LocalSite, name: str) -> None:
    response = replay(workflow, name)
    status, kind, _ = read_recorded(name)
    assert (response.status_code, response.headers["content-type"]) == (status, kind)
    ours, theirs = response.json()["detail"], read_site_json(name)["detail"]
    assert ours.startswith(theirs.partition("[")[0] + "['Traceback (most recent call last):', ")
    assert ours.rpartition("', '")[2] == theirs.rpartition("', '")[2]


def test_the_state_of_an_agent_is_returned_as_recorded(agent: LocalSite) -> None:
    status, kind, recorded = read_recorded("15_agent_run")
    response = replay(agent, "15_agent_run")
    assert (response.status_code, response.headers["content-type"]) == (status, kind)
    ours = json.loads(read_frames(response.content))
    theirs = json.loads(recorded)
    # What ChatOpenAI adds, our model does not have.
    theirs["messages"][1]["response_metadata"] = {"finish_reason": "stop"}
    for key in ("input_token_details", "output_token_details"):
        del theirs["messages"][1]["usage_metadata"][key]
    assert json.dumps(ours, ensure_ascii=False) == json.dumps(theirs, ensure_ascii=False)


def test_a_run_and_a_stream_share_a_memory(agent: LocalSite) -> None:
    assert "(第1问)" in replay(agent, "27_run_same_thread").text
    assert describe(replay(agent, "27b_stream_same_thread")) == read_recorded(
        "27b_stream_same_thread"
    )


def poll(site: LocalSite, task_id: str) -> bytes:
    headers = {"Authorization": f"Bearer {site.token}"}
    for _ in range(200):
        reply = httpx.get(f"{site.base_url}/task/{task_id}", headers=headers, trust_env=False)
        if reply.json()["status"] not in {"pending", "running"}:
            break
        time.sleep(0.02)
    return reply.content


def test_tasks_reply_as_recorded(workflow: LocalSite) -> None:
    headers = {"Authorization": f"Bearer {workflow.token}"}
    slow = replay(workflow, "17_async_submit_wf").json()["task_id"]
    running = httpx.get(f"{workflow.base_url}/task/{slow}", headers=headers, trust_env=False)
    assert describe(running) == read_recorded("17a_async_task_running")
    assert read_frames(poll(workflow, slow)) == read_recorded("17c_async_task_done")[2]
    failing = replay(workflow, "18_async_submit_err").json()["task_id"]
    assert read_frames(poll(workflow, failing)) == read_recorded("18a_async_task_failed")[2]


def test_a_task_id_is_used_once(workflow: LocalSite) -> None:
    names = ("18e_async_run_id", "18f_async_run_id_dup")
    replies = [replay(workflow, name, **{"x-run-id": "once"}) for name in names]
    assert [reply.status_code for reply in replies] == [200, 503]
    theirs = read_site_json("18f_async_run_id_dup")["detail"].replace("my-task-1", "once")
    assert theirs.startswith(replies[1].json()["detail"])


def test_a_task_that_takes_too_long_has_failed() -> None:
    with LocalSite(workflow=build_workflow()) as site:
        headers = {"x-task-deadline-sec": "1", "x-run-id": "old1"}
        replay(site, "17_async_submit_wf", **headers)
        site_time = time.monotonic()
        reply = json.loads(poll(site, "old1"))
    recorded = read_site_json("18k_task_timeout")
    assert time.monotonic() - site_time < 5
    assert reply.keys() == recorded.keys()
    assert reply["status"] in {"timeout", "completed"}  # the node takes a second, too


def test_a_task_of_an_agent_takes_the_body_of_a_stream(agent: LocalSite) -> None:
    task_id = replay(agent, "19_async_agent").json()["task_id"]
    ours, theirs = json.loads(poll(agent, task_id)), read_site_json("19a_async_agent_done")
    assert list(ours) == list(theirs)
    pairs = zip(ours["result"]["messages"], theirs["result"]["messages"], strict=True)
    for our, their in pairs:
        assert list(our) == list(their)
        assert (our["type"], our["content"]) == (their["type"], their["content"])
