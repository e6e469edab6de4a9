"""ChatCoze without a server: fields, serialization, warnings."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import subprocess
import sys
import traceback
import warnings
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, load
from langchain_core.messages import BaseMessage, HumanMessage, trim_messages
from pydantic import SecretStr

import langchain_coze
from langchain_coze import (
    ChatCoze,
    ChatCozeSite,
    CozeBots,
    CozeConversations,
    CozeError,
    CozeInvalidRequestError,
    CozeJWTAuth,
    CozeKnowledge,
    CozeRecallRetriever,
    CozeSiteTool,
    CozeToolkit,
    CozeWorkflowTool,
    create_coze_agent,
)
from langchain_coze._base.unsupported import get_argument_names
from langchain_coze.local import LocalCoze, LocalOAuthApp
from tests.conftest import WITHOUT_AIOHTTP

SECRET = "pat_verysecret1234567890"
BOT = "7374724495711502387"


def make_model(**fields: Any) -> ChatCoze:
    return ChatCoze(
        **{"bot_id": BOT, "api_key": SECRET, "base_url": "http://127.0.0.1:9", **fields}
    )


class SessionTokenSource:
    def __init__(self) -> None:
        self.token = SECRET

    def __repr__(self) -> str:
        return f"Source({self.token})"


def test_a_round_trip_through_langchain_s_serialization() -> None:
    again = load(
        dumpd(make_model(user_id="u1", custom_variables={"a": "b"})),
        secrets_map={"COZE_API_TOKEN": SECRET},
        allowed_objects=[ChatCoze],
        valid_namespaces=["langchain_coze"],
    )
    assert again == make_model(user_id="u1", custom_variables={"a": "b"})


def call_bound(bot: ChatCoze, config: Any, **secret: Any) -> None:
    bound = bot.bind(**secret)
    assert SECRET not in repr(bound)
    bound.invoke("Hi", config)


@pytest.mark.parametrize("name", ["api_key", "coze_api_key", "default_headers"])
@pytest.mark.parametrize(
    "call",
    [
        lambda bot, config, **secret: bot.invoke("Hi", config, **secret),
        lambda bot, config, **secret: asyncio.run(bot.ainvoke("Hi", config, **secret)),
        lambda bot, config, **secret: list(bot.stream("Hi", config, **secret)),
        lambda bot, config, **secret: bot.batch(["Hi"], config, **secret),
        call_bound,
    ],
)
def test_a_secret_of_a_call_reaches_no_tracer(name: str, call: Any) -> None:
    value = {"X-Gateway-Key": SECRET} if name == "default_headers" else SECRET
    seen: list[Any] = []

    class StartRecorder(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

    warning = f"accepts {name} only in its constructor"
    with pytest.warns(UserWarning, match=warning), pytest.raises(CozeError):
        call(make_model(max_retries=0), {"callbacks": [StartRecorder()]}, **{name: value})
    assert len(seen) == 1
    assert SECRET not in repr(seen)


@pytest.mark.parametrize("api_key", [SECRET, lambda: SECRET])
def test_no_frame_of_a_traceback_holds_the_token(api_key: Any) -> None:
    for use_async in (False, True):
        bot = make_model(api_key=api_key, max_retries=0)
        with pytest.raises(CozeError) as caught:
            asyncio.run(bot.ainvoke("Hi")) if use_async else bot.invoke("Hi")
        error: BaseException | None = caught.value
        count = 0
        while error is not None:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if "langchain_coze" in frame.f_code.co_filename:
                    count += 1
                    assert SECRET not in repr(frame.f_locals)
            error = error.__cause__ or error.__context__
        assert count > 3


def test_credentials_in_the_base_url_are_rejected_without_quoting_them() -> None:
    with pytest.raises(ValueError, match="must not contain a user name or password") as caught:
        make_model(base_url="https://user:hunter22@api.coze.cn")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_an_authorization_header_of_the_user_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="pass the token as api_key=") as caught:
        make_model(default_headers={name: f"Bearer {SECRET}"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "right"),
    [
        ("https://www.coze.cn", "https://api.coze.cn"),
        ("https://coze.com/", "https://api.coze.com"),
        ("https://api.coze.cn/v1", "https://api.coze.cn"),
        ("https://api.coze.com/v3/chat", "https://api.coze.com"),
        ("http://gateway.example/coze/v3/chat", "http://gateway.example/coze"),
    ],
)
def test_an_address_that_is_not_of_the_api_is_rejected(base_url: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"use base_url='{right}'"):
        make_model(base_url=base_url)
    assert make_model(base_url=right).base_url == right


@pytest.mark.parametrize("made", [ChatCoze, CozeRecallRetriever])
def test_the_address_of_a_site_names_the_class_for_it(made: Any) -> None:
    with pytest.raises(ValueError, match="use ChatCozeSite") as caught:
        made(bot_id=BOT, api_key=SECRET, base_url="https://abc.coze.site/stream_run")
    assert "CozeSiteTool" in str(caught.value)


@pytest.mark.parametrize(("name", "right"), [("top_k", "k"), ("search_kwargs", "k")])
def test_arguments_of_other_retrievers_are_named(name: str, right: str) -> None:
    with pytest.warns(UserWarning, match=f"has no argument {name}; ignored. Use {right}."):
        CozeRecallRetriever(**{"bot_id": BOT, "api_key": SECRET, name: "3"})


@pytest.mark.parametrize("model", [None, "coze:123"])
def test_an_agent_needs_a_model(model: Any) -> None:
    with pytest.raises(CozeInvalidRequestError, match=f"needs a chat model, got {model!r}"):
        create_coze_agent(model, [], name="a")


@pytest.mark.parametrize("endless", [float("inf"), 1e10])
def test_endless_limits_are_no_limits(endless: float) -> None:
    bot = make_model(timeout=endless, max_duration=endless, poll_timeout=endless)
    assert (bot.timeout, bot.max_duration) == (None, None)
    with LocalCoze() as coze:  # no timer overflows
        for mode in ("stream", "poll"):
            model = make_model(
                bot_id=coze.bots[0].bot_id,
                api_key=coze.token,
                base_url=coze.base_url,
                timeout=endless,
                max_duration=endless,
                poll_timeout=endless,
                poll_interval=0.01,
                response_mode=mode,
            )
            assert model.invoke("Hi").content
            assert asyncio.run(model.ainvoke("Hi")).content


@pytest.mark.parametrize("api_key", [SECRET, SessionTokenSource(), lambda: SECRET])
def test_a_secret_appears_nowhere(api_key: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bot = make_model(
        api_key=api_key, default_headers={"X-Gateway-Key": "gatewaysecret"}, max_retries=0
    )
    calls: list[Any] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))

        def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
            calls.append((args, kwargs))

    with pytest.raises(CozeError) as info:
        bot.invoke("Hi", config={"callbacks": [Tracer()]})
    shown = [
        repr(bot),
        str(bot),
        json.dumps(dumpd(bot)),
        json.dumps(bot.model_dump(mode="json", exclude={"api_key"})),
        str(bot._identifying_params),
        bot._get_llm_string(),
        repr(calls),
        "".join(traceback.format_exception(info.value)),
        caplog.text,
    ]
    assert len(calls) == 2
    for text in shown:
        assert "verysecret" not in text
        assert "gatewaysecret" not in text


def test_the_visible_fields_of_a_pickle_show_no_secret() -> None:
    again = pickle.loads(pickle.dumps(make_model()))
    assert "verysecret" not in repr(vars(again))
    assert again.api_key == SecretStr(SECRET)


def test_traces_name_provider_bot_and_versions() -> None:
    params = make_model()._get_ls_params()
    assert params["ls_provider"] == "coze"
    assert params["ls_model_name"] == BOT
    assert params["ls_model_type"] == "chat"
    assert make_model()._get_ls_params(model="1")["ls_model_name"] == "1"
    assert make_model()._get_ls_params(bot_id="2")["ls_model_name"] == "2"
    assert isinstance(make_model(bot_id=None)._get_ls_params()["ls_model_name"], str)
    assert make_model().metadata is not None
    assert make_model().metadata["lc_versions"]["langchain-coze"] == langchain_coze.__version__  # type: ignore[index] # set
    assert make_model()._llm_type == "chat-coze"


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"model": "5"}, "bot_id", "5"),
        ({"bot_id": "5"}, "bot_id", "5"),
        ({"coze_api_base": "https://api.coze.com/"}, "base_url", "https://api.coze.com"),
        ({"base_url": " https://api.coze.com/ "}, "base_url", "https://api.coze.com"),
        ({"request_timeout": 7}, "timeout", 7),
        ({"user": "u"}, "user_id", "u"),
    ],
)
def test_aliases_of_fields_are_accepted(given: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(ChatCoze(**given), field) == value


def test_fields_have_their_documented_defaults() -> None:
    bot = ChatCoze(bot_id=BOT)
    assert bot.base_url == "https://api.coze.cn"
    assert bot.user_id == "langchain-coze"
    assert bot.timeout == 120
    assert bot.streaming is None
    assert bot.response_mode == "stream"
    assert bot.max_retries == 2


def test_the_token_comes_from_either_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COZE_API_TOKEN", raising=False)
    monkeypatch.setenv("COZE_API_KEY", "pat_second")
    assert ChatCoze().api_key == SecretStr("pat_second")
    monkeypatch.setenv("COZE_API_TOKEN", "pat_first")
    assert ChatCoze().api_key == SecretStr("pat_first")
    assert ChatCoze(coze_api_key="pat_given").api_key == SecretStr("pat_given")


@pytest.mark.parametrize("name", ["temperature", "max_tokens", "stop", "top_p", "response_format"])
def test_settings_of_the_bot_are_warned_about_by_name(name: str) -> None:
    with pytest.warns(UserWarning, match=f"{name} is set on the bot in Coze; ignored") as caught:
        make_model(**{name: 1})
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_mistyped_arguments_are_refused_with_a_guess() -> None:
    with pytest.raises(ValueError, match="no argument 'usr_id'") as caught:
        make_model(usr_id="x")
    assert "Did you mean user_id?" in str(caught.value)


def test_unknown_arguments_of_a_call_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="accepts response_mode only in its constructor"):  # noqa: SIM117
        with pytest.raises(CozeError):
            make_model(max_retries=0).invoke("Hi", response_mode="poll")


def test_empty_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COZE_API_TOKEN", "COZE_API_BASE", "COZE_USER_ID", "COZE_BOT_ID"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("COZE_API_KEY", "pat_second")
    bot = ChatCoze()
    assert bot.api_key == SecretStr("pat_second")
    assert (bot.base_url, bot.user_id, bot.bot_id) == (
        "https://api.coze.cn",
        "langchain-coze",
        None,
    )
    monkeypatch.setenv("COZE_API_BASE", " http://studio:8888/ ")
    assert ChatCoze().base_url == "http://studio:8888"
    monkeypatch.setenv("COZE_API_BASE", "studio:8888")
    with pytest.raises(ValueError, match="base_url must be an address"):
        ChatCoze()


def test_a_bot_id_may_be_a_number() -> None:
    assert ChatCoze(bot_id=7374724495711502387).bot_id == BOT


def test_arguments_of_a_call_are_warned_about_once() -> None:
    bot = make_model(max_retries=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            for ask in (bot.invoke, lambda *a, **k: list(bot.stream(*a, **k))):
                with pytest.raises(CozeError):
                    ask("Hi", temperature=1, stop=["x"], conversaton="y", user_id="u")
    assert {warning.filename for warning in caught} == {__file__}
    messages = sorted(str(warning.message).split(" ")[0:5] for warning in caught)
    assert [" ".join(words) for words in messages] == [
        "ChatCoze has no argument conversaton;",
        "stop is set on the",
        "temperature is set on the",
    ]


def test_an_argument_none_is_not_warned_about() -> None:
    bot = make_model(max_retries=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CozeError):
            bot.invoke("Hi", temperature=None)


def test_tokens_are_estimated_without_another_package() -> None:
    messages: list[BaseMessage] = [HumanMessage("word " * 50), HumanMessage("Hi")]
    assert make_model().get_num_tokens_from_messages(messages) > 50
    trimmed = trim_messages(messages, max_tokens=20, token_counter=make_model(), strategy="last")
    assert trimmed == messages[1:]


def test_every_public_name_can_be_imported() -> None:
    assert list(langchain_coze.__all__) == sorted(langchain_coze.__all__)
    for name in langchain_coze.__all__:
        assert getattr(langchain_coze, name) is not None
    assert dir(langchain_coze) == langchain_coze.__all__
    with pytest.raises(AttributeError, match="no attribute 'ChatCzoe'"):
        _ = langchain_coze.ChatCzoe


def test_importing_is_light() -> None:
    """Importing the class imports neither httpx nor langgraph nor the local server."""
    script = (
        f"{WITHOUT_AIOHTTP}\n"
        "import langchain_coze\n"
        "assert 'langchain_core' not in sys.modules\n"
        "langchain_coze.ChatCoze(bot_id='1', api_key='x')\n"
        "found = {m.partition('.')[0] for m in sys.modules} & {'httpx', 'langgraph', 'starlette'}\n"
        "assert not found, found\n"
        "assert not any(m.startswith('langchain_coze.local') for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_argument_names_know_every_alias() -> None:
    names = get_argument_names(ChatCoze)
    assert {
        "bot_id",
        "model",
        "coze_api_key",
        "coze_api_base",
        "user",
        "request_timeout",
    } <= names.keys()
    assert {"callbacks", "tags", "metadata", "rate_limiter", "cache", "profile"} <= names.keys()


# --- http_backend --------------------------------------------------------------------------------

APP = LocalOAuthApp()


def make_auth(**fields: Any) -> CozeJWTAuth:
    return CozeJWTAuth(
        client_id=APP.client_id, public_key_id=APP.key_id, private_key=APP.private_key, **fields
    )


ADDRESS = {"api_key": SECRET, "base_url": "http://127.0.0.1:9"}
SITE = {"api_key": "eyJ.a.b", "base_url": "https://abc.coze.site"}
SENDERS: dict[str, Any] = {
    "chat": make_model,
    "retriever": lambda **fields: CozeRecallRetriever(bot_id=BOT, **ADDRESS, **fields),
    "tool": lambda **fields: CozeWorkflowTool(workflow_id="7", **ADDRESS, **fields),
    "toolkit": lambda **fields: CozeToolkit(workspace_id="7", **ADDRESS, **fields),
    "knowledge": lambda **fields: CozeKnowledge(dataset_id="7", **ADDRESS, **fields),
    "bots": lambda **fields: CozeBots(workspace_id="7", **ADDRESS, **fields),
    "conversations": lambda **fields: CozeConversations(bot_id=BOT, **ADDRESS, **fields),
    "site": lambda **fields: ChatCozeSite(**SITE, **fields),
    "site tool": lambda **fields: CozeSiteTool(name="n", description="d", **SITE, **fields),
    "auth": make_auth,
}


@pytest.mark.parametrize("make", SENDERS.values(), ids=SENDERS)
def test_every_class_that_sends_requests_has_a_backend(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make().http_backend == "httpx"
    assert make(http_backend="aiohttp").http_backend == "aiohttp"
    with pytest.raises(ValueError, match="http_backend must be 'httpx' or 'aiohttp', not 'curl'"):
        make(http_backend="curl")
    monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    with pytest.raises(
        ImportError, match="Run: pip install httpx-aiohttp\nhttp_backend="
    ) as caught:
        make(http_backend="aiohttp")
    assert "请运行：pip install httpx-aiohttp" in str(caught.value)


def test_a_copy_with_another_backend_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    assert model.model_copy(update={"http_backend": "aiohttp"}).http_backend == "aiohttp"
    with pytest.raises(CozeInvalidRequestError, match="http_backend must be"):
        model.model_copy(update={"http_backend": "curl"})
    monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    with pytest.raises(ImportError, match="httpx-aiohttp"):
        model.http_backend = "aiohttp"
