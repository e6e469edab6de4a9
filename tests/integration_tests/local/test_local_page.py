"""The page of the local server over HTTP: who gets it, and who gets the token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import langchain_coze.local
from langchain_coze.local import LocalBot, LocalCoze, LocalSite, LocalWorkflow
from tests.conftest import serve

FOLDER = Path(langchain_coze.local.__file__).parent / "page"
SERVED = "/page/served.json"
OF_THE_PAGE = {"Sec-Fetch-Site": "same-origin"}
MAX_BYTES = 150_000


def add(first: int, second: int = 2) -> int:
    """Add two numbers."""
    return first + second


coze = serve(LocalBot(knowledge=["Tea."], name="tea"), workflows=LocalWorkflow(add))


@pytest.fixture
def http(coze: LocalCoze) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=coze.base_url, trust_env=False) as client:
        yield client


def test_the_page_is_small_and_names_no_other_host() -> None:
    files = list(FOLDER.iterdir())
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    for path in files:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path


def test_a_browser_gets_the_page_under_a_policy(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= set(policy)
    assert {"frame-ancestors 'none'", "require-trusted-types-for 'script'"} <= set(policy)
    assert page.headers["x-content-type-options"] == "nosniff"
    for name in ("main.js", "chat.css", "icon.svg"):
        file = http.get(f"/page/{name}")
        assert (file.status_code, file.headers["content-security-policy"]) == (
            200,
            page.headers["content-security-policy"],
        )
    for name in ("nothing.js", "..%2Fapp.py", "%2e%2e/app.py", "__init__.py"):
        assert http.get(f"/page/{name}").status_code == 404
    assert http.post("/").status_code == 404
    assert http.get("/page").status_code == http.get(f"{http.base_url}//page").status_code == 404


def test_the_page_reads_what_is_served(coze: LocalCoze, http: httpx.Client) -> None:
    reply = http.get(SERVED, headers=OF_THE_PAGE)
    assert reply.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in reply.headers
    served = reply.json()
    assert (served["profile"], served["token"]) == ("cloud", coze.token)
    bot, workflow = served["served"]
    assert (bot["kind"], bot["name"], bot["topics"]) == ("bot", "tea", ["local_knowledge_1"])
    assert bot["id"] == coze.bots[0].bot_id
    assert workflow["inputs"] == {
        "first": {"type": "integer", "required": True},
        "second": {"type": "integer", "required": False, "default_value": "2"},
    }
    assert coze.requests == []  # the page is no client of the API


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Sec-Fetch-Site": "none"},
        {},  # of a program that was made to fetch an address
    ],
)
def test_no_other_site_gets_the_token(
    headers: dict[str, str], coze: LocalCoze, http: httpx.Client
) -> None:
    reply = http.get(SERVED, headers=headers)
    assert reply.status_code in {400, 401}
    assert coze.token not in reply.text
    assert http.request("OPTIONS", SERVED, headers=headers).status_code != 200


@pytest.mark.parametrize("kind", [LocalCoze, LocalSite])
def test_a_server_for_other_machines_keeps_its_token(kind: Any) -> None:
    with kind(any_host=True) as server, httpx.Client(base_url=server.base_url) as http:
        assert http.get("/").status_code == 200
        reply = http.get(SERVED, headers=OF_THE_PAGE)
        assert (reply.status_code, sorted(reply.json())) == (401, ["profile", "server_id"])
        wrong = http.get(SERVED, headers={"Authorization": "Bearer pat_wrong"})
        assert wrong.status_code == 401
        known = http.get(SERVED, headers={"Authorization": f"Bearer {server.token}"})
        assert [*known.json()] == ["server_id", "profile", "served"]


def test_a_bot_that_is_not_published_is_not_listed() -> None:
    bots = [LocalBot(name="a"), LocalBot(name="b", published=False)]
    with LocalCoze(bots) as coze, httpx.Client(base_url=coze.base_url) as http:
        served = http.get(SERVED, headers=OF_THE_PAGE).json()
        assert [item["name"] for item in served["served"]] == ["a"]


def test_a_site_lists_its_inputs() -> None:
    with LocalSite(workflow=add) as site, httpx.Client(base_url=site.base_url) as http:
        reply = http.get(SERVED, headers=OF_THE_PAGE).json()
        assert (reply["profile"], reply["token"]) == ("site", site.token)
        assert reply["served"] == [
            {
                "kind": "flow",
                "id": "flow",
                "name": "add",
                "description": "",
                "inputs": {
                    "first": {"type": "integer", "required": True},
                    "second": {"type": "integer", "required": False, "default_value": "2"},
                },
            }
        ]
        assert site.requests == []
