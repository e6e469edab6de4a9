"""The field `server`: how the address decides, and that the field survives like its siblings."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.runnables import ConfigurableField
from pydantic import ValidationError

from langchain_coze import ChatCoze, CozeRecallRetriever, CozeToolkit, CozeWorkflowTool
from langchain_coze._environment import is_coze_host, is_studio

CLASSES: dict[type[Any], dict[str, str]] = {
    ChatCoze: {"bot_id": "1"},
    CozeRecallRetriever: {"bot_id": "1"},
    CozeWorkflowTool: {"workflow_id": "1"},
    CozeToolkit: {"workspace_id": "1"},
}
ADDRESS = {"api_key": "pat_example", "base_url": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("base_url", "studio"),
    [
        ("https://api.coze.cn", False),
        ("https://api.coze.com", False),
        ("https://API.Coze.CN", False),
        ("https://api.coze.cn:8443", False),
        ("https://api.coze.cn.", False),
        ("https://coze.cn", False),
        ("http://api-eu.coze.com", False),
        ("https://a.b.coze.cn", False),
        ("https://evilcoze.cn", True),
        ("https://coze.cn.example.com", True),
        ("https://coze.com.cn", True),
        ("https://example.com/coze.cn", True),
        ("http://127.0.0.1:9000", False),
        ("http://127.0.0.1", False),
        ("http://127.8.8.8:8000", False),
        ("http://localhost:9000", False),
        ("http://LOCALHOST", False),
        ("http://coze.localhost:9000", False),
        ("http://[::1]:9000", False),
        ("http://[::1]", False),
        ("http://[::ffff:127.0.0.1]:9000", False),
        ("http://127.0.0.1:8888", True),
        ("http://localhost:8888", True),
        ("http://[::1]:8888", True),
        ("http://localhost.example.com:9000", True),
        ("http://10.0.0.5:9000", True),
        ("http://192.168.1.2:8888", True),
        ("http://[fd00::1]:9000", True),
        ("http://studio.example.com", True),
        ("https://api.coze.cn:8888", False),
    ],
)
def test_the_address_decides(base_url: str, *, studio: bool) -> None:
    assert is_studio("auto", base_url) is studio
    assert is_studio("studio", base_url)
    assert not is_studio("cloud", base_url)


@pytest.mark.parametrize(
    ("host", "known"), [("coze.cn", True), ("api.coze.com", True), ("evilcoze.cn", False)]
)
def test_coze_s_hosts_are_known(host: str, *, known: bool) -> None:
    assert is_coze_host(host) is known


@pytest.mark.parametrize(
    ("base_url", "floor"), [("https://api-eu.coze.com", 1.0), ("https://evilcoze.com", 0.0)]
)
def test_coze_s_hosts_are_polled_at_most_once_a_second(base_url: str, floor: float) -> None:
    model = ChatCoze(bot_id="1", api_key="pat_example", base_url=base_url)
    assert model._build_polling(0.1, 1).min_interval == floor


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_that_sends_requests_has_the_field(cls: type[Any]) -> None:
    fields = {**CLASSES[cls], **ADDRESS}
    plain, studio = cls(**fields), cls(**fields, server="studio")
    assert (plain.server, studio.server) == ("auto", "studio")
    assert cls(**fields, server=None).server == "auto"  # the default, as for its siblings
    assert not plain._make_driver().settings.is_studio
    assert studio._make_driver().settings.is_studio
    for again in (pickle.loads(pickle.dumps(studio)), copy.deepcopy(studio), studio.model_copy()):
        assert again.server == "studio"
        assert again._make_driver().settings.is_studio
    assert not studio.model_copy(update={"server": "cloud"})._make_driver().settings.is_studio


@pytest.mark.parametrize("value", ["coze-studio", "Studio", "", 1, ["studio"]])
@pytest.mark.parametrize("cls", CLASSES)
def test_another_value_is_rejected_in_one_sentence(cls: type[Any], value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        cls(**CLASSES[cls], **ADDRESS, server=value)
    (error,) = caught.value.errors(include_url=False, include_context=False)
    english = f"Value error, server must be 'auto', 'cloud' or 'studio', not {value!r}."
    assert error["msg"].startswith(f"{english}\nserver 只能是")


def test_the_field_survives_serialization_and_configuration() -> None:
    model = ChatCoze(bot_id="1", **ADDRESS, server="studio")
    again = load(
        json.loads(json.dumps(dumpd(model))),
        secrets_map={"COZE_API_TOKEN": "pat_example"},
        allowed_objects=[ChatCoze],
        valid_namespaces=["langchain_coze"],
    )
    assert again.server == "studio"
    bound: Any = model.with_config(tags=["a"]).bind(user_id="2")
    assert bound.bound.server == "studio"
    configurable: Any = ChatCoze(bot_id="1", **ADDRESS).configurable_fields(
        server=ConfigurableField(id="server")
    )
    configured, _ = configurable.prepare({"configurable": {"server": "studio"}})
    assert configured.server == "studio"


def test_the_server_is_part_of_cache_keys() -> None:
    cloud, studio = (
        ChatCoze(bot_id="1", **ADDRESS, server=server) for server in ("cloud", "studio")
    )
    assert cloud._get_llm_string() != studio._get_llm_string()
    assert cloud._identifying_params["server"] == "cloud"


def test_tools_of_a_toolkit_have_its_server() -> None:
    toolkit = CozeToolkit(workspace_id="1", **ADDRESS, server="studio")
    schema = {"title": "t", "type": "object", "properties": {}}
    workflow = {"workflow_id": "2", "name": "t", "description": "d", "args_schema": schema}
    (tool,) = toolkit._build_tools([workflow])
    assert isinstance(tool, CozeWorkflowTool)
    assert tool.server == "studio"
