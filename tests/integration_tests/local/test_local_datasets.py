"""Knowledge bases that clients fill, over a real socket (wire 5.5)."""

import base64
import time
from typing import Any

import pytest

from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge
from tests.conftest import serve
from tests.integration_tests.local.local_client import LocalClient, events, user

coze = serve(scope="function")
AUTOMATIC = {"chunk_type": 0}


@pytest.fixture
def base(coze: LocalCoze) -> LocalKnowledge:
    knowledge = LocalKnowledge((), name="plants")
    coze.bots[0].bind(knowledge)
    return knowledge


def post(client: LocalClient, path: str, **body: Any) -> Any:
    return client.http.post(path, json=body, headers={"Agw-Js-Conv": "str"}).json()


def on_documents(client: LocalClient, verb: str, **body: Any) -> Any:
    return post(client, f"/open_api/knowledge/document/{verb}", **body)


def text_of(text: str, name: str = "tea.txt", kind: str = "txt") -> dict[str, Any]:
    data = base64.b64encode(text.encode()).decode()
    return {"name": name, "source_info": {"file_base64": data, "file_type": kind}}


def page_of(url: str) -> dict[str, Any]:
    return {"name": "page", "source_info": {"web_url": url, "document_source": 1}}


def add(client: LocalClient, base: LocalKnowledge, *documents: Any, **fields: Any) -> Any:
    body = {"dataset_id": base.dataset_id, "document_bases": documents}
    return on_documents(client, "create", **body | {"chunk_strategy": AUTOMATIC} | fields)


def recalled(client: LocalClient, question: str) -> str:
    reply = client.chat(additional_messages=[user(question)])
    return next(str(d["content"]) for _, d in events(reply) if "knowledge_recall" in str(d))


def test_an_added_document_is_found(client: LocalClient, base: LocalKnowledge) -> None:
    reply = add(client, base, text_of("Camellia sinensis grows on hills."))
    assert list(reply) == ["document_infos", "code", "msg", "detail"]
    (info,) = reply["document_infos"]
    assert info["document_id"].isdecimal()
    assert {name: info[name] for name in ("name", "type", "size", "status", "source_type")} == {
        "name": "tea.txt",
        "type": "txt",
        "size": 33,
        "status": 1,
        "source_type": 0,
    }
    found = recalled(client, "Where does Camellia sinensis grow?")
    assert "Camellia sinensis grows on hills." in found
    assert info["document_id"] in found
    listed = on_documents(client, "list", dataset_id=base.dataset_id)
    assert listed == {"code": 0, "document_infos": [info], "msg": "", "total": 1}
    gone = on_documents(client, "delete", document_ids=[info["document_id"]])
    assert gone["code"] == 0
    assert list(gone) == ["code", "msg", "detail"]
    assert "on hills" not in recalled(client, "Where does Camellia sinensis grow?")


def test_processing_can_be_watched(
    coze: LocalCoze, client: LocalClient, base: LocalKnowledge
) -> None:
    coze.faults = "slow_processing=0.4"
    (info,) = add(client, base, text_of("Camellia grows on hills."))["document_infos"]
    assert (info["status"], info["slice_count"], info["char_count"]) == (0, 0, 0)
    assert base.search("Camellia") == []
    seen: list[tuple[int, int]] = []
    path, ids = f"/v1/datasets/{base.dataset_id}/process", [info["document_id"], "7400"]
    while not seen or seen[-1][0] == 0:
        (item,) = post(client, path, document_ids=ids)["data"]["data"]
        seen.append((item["status"], item["progress"]))
        time.sleep(0.05)
    progress = [percent for _, percent in seen]
    assert progress == sorted(progress)
    assert 0 <= progress[0] < progress[-2] < progress[-1] == 100
    assert seen[-1] == (1, 100)
    assert "status_descript" not in item
    assert len(base.search("Camellia")) == 1


def test_documents_fail_on_demand(
    coze: LocalCoze, client: LocalClient, base: LocalKnowledge
) -> None:
    coze.faults = "failed_processing=bad,times=1"
    documents = [text_of("Tea.", "bad.txt"), text_of("Coffee.", "good.txt"), text_of("", "empty")]
    bad, good, empty = add(client, base, *documents)["document_infos"]
    assert [info["status"] for info in (bad, good, empty)] == [9, 1, 9]
    path = f"/v1/datasets/{base.dataset_id}/process"
    items = post(client, path, document_ids=[bad["document_id"], empty["document_id"]])["data"]
    assert [item["status_descript"] for item in items["data"]] == [
        "the document could not be cut into slices",
        "the document is empty",
    ]
    (item,) = client.get("/v1/datasets", space_id=coze.workspace_id, name="plants")["data"][
        "dataset_list"
    ]
    assert item["failed_file_list"] == ["bad.txt", "empty"]
    assert (item["doc_count"], item["bot_used_count"], item["slice_count"]) == (3, 1, 1)
    (again,) = add(client, base, text_of("Tea.", "bad.txt"))["document_infos"]
    assert again["status"] == 1


def test_a_strategy_cuts_the_text(client: LocalClient, base: LocalKnowledge) -> None:
    strategy = {"chunk_type": 1, "separator": "###", "max_tokens": 100}
    reply = add(client, base, text_of("one###two###three"), chunk_strategy=strategy)
    assert reply["document_infos"][0]["slice_count"] == 3
    assert [chunk.slice for chunk in base.search("two")] == ["two"]


def test_a_page_is_found_by_its_address(client: LocalClient, base: LocalKnowledge) -> None:
    rule = {"update_rule": {"update_type": 1, "update_interval": 24}}
    reply = add(client, base, page_of("https://example.com/camellia") | rule)
    info = reply["document_infos"][0]
    assert (info["source_type"], info["update_type"], info["update_interval"]) == (1, 1, 24)
    assert base.search("camellia")[0].url == "https://example.com/camellia"


@pytest.mark.parametrize(
    ("documents", "fields"),
    [
        ([], {}),
        ([text_of("tea")] * 11, {}),
        ([text_of("tea"), page_of("https://example.com/")], {}),
        ([text_of("tea", kind="md")], {}),
        ([{"name": "tea", "source_info": {"file_base64": "!", "file_type": "txt"}}], {}),
        ([{"name": "tea"}], {}),
        ([text_of("tea", name="")], {}),
        ([text_of("tea")], {"chunk_strategy": None}),
        ([text_of("tea")], {"chunk_strategy": {"chunk_type": 1, "max_tokens": 800}}),
        ([text_of("tea")], {"format_type": 2}),
        ([{"name": "tea", "source_info": {"source_file_id": "7", "document_source": 5}}], {}),
    ],
)
def test_what_coze_does_not_take_is_refused(
    client: LocalClient, base: LocalKnowledge, documents: list[Any], fields: dict[str, Any]
) -> None:
    assert add(client, base, *documents, **fields)["code"] == 4000
    assert base.documents == {}


def test_only_the_owner_fills_a_knowledge_base() -> None:
    with LocalCoze(more_tokens=["pat_other"]) as coze, LocalClient(coze) as client:
        body = {"name": "mine", "space_id": coze.workspace_id, "format_type": 0}
        client.http.headers["Authorization"] = "Bearer pat_other"
        made = post(client, "/v1/datasets", **body)["data"]["dataset_id"]
        mine = coze.knowledge[-1]
        assert (mine.name, mine.dataset_id) == ("mine", made)
        assert add(client, mine, text_of("tea"))["code"] == 0
        assert add(client, coze.bots[0].bases[0], text_of("tea"))["code"] == 4101
        client.http.headers["Authorization"] = f"Bearer {coze.token}"
        assert add(client, mine, text_of("tea"))["code"] == 4101
        unknown = LocalKnowledge((), dataset_id="7499")
        assert add(client, unknown, text_of("tea"))["code"] == 4200
        assert on_documents(client, "delete", document_ids=["7499"])["code"] == 4200


def test_a_knowledge_base_is_renamed_and_deleted(
    coze: LocalCoze, client: LocalClient, base: LocalKnowledge
) -> None:
    path = f"/v1/datasets/{base.dataset_id}"
    renamed = client.http.put(path, json={"name": "herbs", "description": "green"}).json()
    assert list(renamed) == ["code", "msg", "detail"]
    assert (base.name, base.description) == ("herbs", "green")
    assert client.http.put(path, json={"name": "n" * 101}).json()["code"] == 4000
    assert client.http.delete(path).json()["code"] == 0
    assert base not in coze.bots[0].bases
    assert client.http.delete(path).json()["code"] == 4200


def test_images_need_a_knowledge_base_of_images(coze: LocalCoze, client: LocalClient) -> None:
    body = {"name": "photos", "space_id": coze.workspace_id, "format_type": 2}
    assert post(client, "/v1/datasets", **body)["code"] == 0
    photos = coze.knowledge[-1]
    assert add(client, photos, text_of("tea"))["code"] == 4000
    source = {"source_file_id": "7", "document_source": 5}
    photo = {"name": "photo", "source_info": source}
    assert add(client, photos, photo, format_type=2)["code"] == 0
    assert post(client, "/v1/datasets", **body | {"format_type": 1})["code"] == 4000


def test_studio_has_no_route_for_documents() -> None:
    with LocalCoze(profile="studio") as coze, LocalClient(coze) as client:
        reply = add(client, coze.bots[0].bases[0], text_of("tea"))
    assert reply == {"code": 401, "msg": "missing session_key in cookie"}


def test_a_knowledge_base_is_bound_once() -> None:
    bot = LocalBot(knowledge=LocalKnowledge((), name="plants"))
    with pytest.raises(ValueError, match="knowledge bases"):
        bot.bind(LocalKnowledge((), name="plants"))
