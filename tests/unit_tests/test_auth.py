"""CozeJWTAuth as a value, and the exchange of its JWTs without I/O."""

from __future__ import annotations

import copy
import email.utils
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import jwt
import pytest
from langchain_core.load import dumps
from pydantic import SecretStr, ValidationError

from langchain_coze import ChatCoze, CozeJWTAuth
from langchain_coze._api.effects import RefreshToken, Reply, Request
from langchain_coze._api.oauth import JWTSigner, TokenRequest, fetch_token
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._api.settings import Settings
from langchain_coze._runtime import oauth_tokens
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeRateLimitError,
    CozeServerError,
    is_retryable,
)
from langchain_coze.local import LocalOAuthApp
from tests.conftest import WITHOUT_AIOHTTP

APP = LocalOAuthApp("310000000002", key_id="gdehvaDegW")
OTHER = LocalOAuthApp("310000000003")
NAMES = ("CLIENT_ID", "PRIVATE_KEY", "PRIVATE_KEY_FILE_PATH", "PUBLIC_KEY_ID")


@pytest.fixture(autouse=True)
def no_app_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"COZE_JWT_OAUTH_{name}", raising=False)
    monkeypatch.delenv("COZE_API_BASE", raising=False)


def make_auth(**fields: Any) -> CozeJWTAuth:
    known = {"client_id": APP.client_id, "private_key": APP.private_key, "public_key_id": "k"}
    return CozeJWTAuth(**(known | fields))


# --- The app -------------------------------------------------------------------------------------


def test_the_environment_names_the_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COZE_JWT_OAUTH_CLIENT_ID", "7")
    monkeypatch.setenv("COZE_JWT_OAUTH_PUBLIC_KEY_ID", "k")
    monkeypatch.setenv("COZE_JWT_OAUTH_PRIVATE_KEY", APP.private_key.replace("\n", "\\n"))
    auth = CozeJWTAuth()
    assert (auth.client_id, auth.public_key_id, auth.duration_seconds) == ("7", "k", 900)
    assert auth.private_key.get_secret_value() == APP.private_key
    monkeypatch.delenv("COZE_JWT_OAUTH_PRIVATE_KEY")
    file = tmp_path / "private_key.pem"
    file.write_text(APP.private_key)
    monkeypatch.setenv("COZE_JWT_OAUTH_PRIVATE_KEY_FILE_PATH", str(file))
    assert CozeJWTAuth() == auth


@pytest.mark.parametrize("deep", [False, True])
def test_a_private_key_of_a_copy_stays_a_secret(tmp_path: Path, *, deep: bool) -> None:
    file = tmp_path / "other.pem"
    file.write_text(OTHER.private_key)
    for given in (OTHER.private_key, SecretStr(OTHER.private_key), file):
        changed = make_auth().model_copy(update={"private_key": given}, deep=deep)
        assert changed.private_key == SecretStr(OTHER.private_key)
        shown = f"{changed!r}{vars(changed)}{changed.model_dump()}"
        assert OTHER.private_key.splitlines()[1] not in shown
    with pytest.raises(ValueError, match="not a PEM private key"):
        make_auth().model_copy(update={"private_key": "hunter2"}, deep=deep)
    with pytest.raises(ValidationError, match="frozen"):
        make_auth().private_key = "hunter2"  # type: ignore[misc] # it is frozen


def test_a_wrong_address_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZE_API_BASE", "https://api..coze.cn")
    with pytest.raises(CozeInvalidRequestError, match=r"not 'https://api\.\.coze\.cn'"):
        make_auth()()


def test_the_key_is_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "private_key.pem"
    file.write_text(APP.private_key)
    assert (
        make_auth(private_key=file)
        == make_auth(private_key=SecretStr(APP.private_key))
        == make_auth()
    )


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"client_id": ""}, "No client_id is set"),
        ({"public_key_id": ""}, "COZE_JWT_OAUTH_PUBLIC_KEY_ID"),
        ({"private_key": ""}, "No private key is set"),
        ({"private_key": "private_key.pem"}, "not a PEM private key"),
        ({"private_key": APP.public_key}, "not a PEM private key"),
        ({"private_key": Path("no such file.pem")}, "cannot be read: No such file"),
        ({"duration_seconds": 86400}, "duration_seconds"),
        ({"duration_seconds": 0}, "duration_seconds"),
        ({"account_id": "1", "enterprise_id": "2"}, "not both"),
        ({"base_url": "api.coze.cn"}, "must be an address"),
        ({"ttl": 900}, "no argument .ttl.\\.\nHint: Use duration_seconds="),
    ],
)
def test_invalid_apps_are_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word) as caught:
        make_auth(**fields)
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("body", ["xyzzy", "MIIxyzzy", APP.private_key.split("\n", 2)[2][:400]])
def test_a_broken_key_is_an_error_when_it_signs(body: str) -> None:
    auth = make_auth(
        private_key=f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    )
    with pytest.raises(CozeAuthenticationError, match="is not an RSA private key") as caught:
        _ = auth.token
    assert body not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    assert "pathlib.Path" in (caught.value.hint or "")


def test_an_auth_can_be_copied_compared_and_pickled() -> None:
    auth = make_auth(session_name="ada", scope={"a": {"b": [1]}})
    for again in (pickle.loads(pickle.dumps(auth)), copy.deepcopy(auth), auth.model_copy()):
        assert again == auth
    model = ChatCoze(bot_id="1", api_key=auth)
    again = pickle.loads(pickle.dumps(model))
    assert again.api_key == copy.deepcopy(model).api_key == auth
    assert auth.for_session("ben").session_name == "ben"
    assert auth.for_session("ben").private_key is auth.private_key


def test_the_private_key_is_shown_nowhere() -> None:
    auth = make_auth()
    model = ChatCoze(bot_id="1", api_key=auth)
    texts = [repr(auth), str(auth), str(vars(auth)), auth.model_dump_json(), str(auth.model_dump())]
    texts += [repr(model), dumps(model), str(model._get_llm_string()), str(vars(model))]
    line = APP.private_key.splitlines()[3]
    assert not [text for text in texts if line in text]


def test_a_missing_extra_is_explained() -> None:
    code = (
        "import sys; sys.modules['jwt'] = None\n"
        "from langchain_coze import ChatCoze, CozeJWTAuth\n"
        "ChatCoze(bot_id='1', api_key='pat_x')\n"
        "try: CozeJWTAuth(client_id='1', public_key_id='2', private_key='PRIVATE KEY-----')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=60
    )
    assert 'CozeJWTAuth needs PyJWT, which is missing. Run: pip install "PyJWT' in done.stdout
    assert 'CozeJWTAuth 缺少 PyJWT，请运行：pip install "PyJWT' in done.stdout


def test_importing_it_imports_neither_httpx_nor_jwt() -> None:
    code = (
        f"{WITHOUT_AIOHTTP}; from langchain_coze import CozeJWTAuth\n"
        "print([name for name in ('httpx', 'jwt', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


# --- The JWT -------------------------------------------------------------------------------------


def test_each_request_has_its_own_jwt() -> None:
    auth = make_auth(
        session_name=lambda: "ada", session_context={"device_info": {"device_id": "1"}}
    )
    signer = JWTSigner(auth._build_token_request("https://api.coze.cn").sign)
    first, second = (signer.get().get_secret_value() for _ in range(2))
    assert jwt.get_unverified_header(first) == {"alg": "RS256", "typ": "JWT", "kid": "k"}
    claims = jwt.decode(first, APP.public_key, algorithms=["RS256"], audience="api.coze.cn")
    other = jwt.decode(second, APP.public_key, algorithms=["RS256"], audience="api.coze.cn")
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti", "session_name", "session_context"}
    assert (claims["iss"], claims["session_name"]) == (APP.client_id, "ada")
    assert abs(claims["iat"] - time.time()) < 5
    assert claims["exp"] - claims["iat"] == 600
    assert len(bytes.fromhex(claims["jti"])) >= 32
    assert claims["jti"] != other["jti"]
    assert not signer.invalidate()


def test_the_audience_may_be_another_host_than_the_server() -> None:
    auth = make_auth(audience="api.coze.cn")
    grant = auth._build_token_request("https://static-api.coze.cn")
    claims = jwt.decode(grant.sign(), options={"verify_signature": False})
    assert claims["aud"] == "api.coze.cn"
    assert grant.key != make_auth()._build_token_request("https://static-api.coze.cn").key


def test_unset_options_are_not_sent() -> None:
    grant = make_auth()._build_token_request("http://127.0.0.1:8888")
    claims = jwt.decode(grant.sign(), options={"verify_signature": False})
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti"}
    assert claims["aud"] == "127.0.0.1:8888"
    assert grant.body == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "duration_seconds": 900,
    }
    scope = {"account_permission": {"permission_list": ["Connector.botChat"]}}
    assert make_auth(scope=scope)._build_token_request("http://127.0.0.1").body["scope"] == scope


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "/api/permission/oauth2/token"),
        ({"account_id": 7}, "/api/permission/oauth2/account/7/token"),
        ({"enterprise_id": "8"}, "/api/permission/oauth2/enterprise_id/8/token"),
    ],
)
def test_the_token_is_exchanged_at_the_base_url(fields: dict[str, Any], path: str) -> None:
    assert make_auth(**fields)._build_token_request("https://api.coze.cn").path == path


def test_equal_apps_and_sessions_share_a_token() -> None:
    def key(base_url: str = "https://api.coze.cn", **fields: Any) -> str:
        return make_auth(**fields)._build_token_request(base_url).key

    assert key() == key() == key(session_name="") == key(session_name=lambda: None)
    others = [
        key("https://api.coze.com"),
        key(session_name="ada"),
        key(session_name="ben"),
        key(public_key_id="l"),
        key(private_key=LocalOAuthApp().private_key),
        key(account_id="1"),
        key(enterprise_id="1"),
        key(duration_seconds=60),
        key(scope={"a": 1}),
        key(session_context={"a": 1}),
        key(client_id="1"),
    ]
    assert len({key(), *others}) == len(others) + 1


def test_the_server_defaults_to_that_of_the_model() -> None:
    settings = Settings(base_url="https://gateway.example", headers={"x-gateway": "1"})
    assert make_auth().make_token_source(settings)._settings == settings
    own = make_auth(base_url="https://api.coze.com/").make_token_source(settings)._settings
    assert (own.base_url, own.headers) == ("https://api.coze.com", {})
    assert make_auth().make_token_source()._settings.base_url == "https://api.coze.cn"


# --- The exchange --------------------------------------------------------------------------------

COUNT = iter(range(10**6))


def make_grant(seconds: int = 900) -> TokenRequest:
    return TokenRequest(f"test {next(COUNT)}", "/api/permission/oauth2/token", {}, seconds, str)


def run_with_replies(flow: Generator[Any, Any, str], *replies: Any) -> str:
    """Run a flow that sends as many requests as there are replies, and return its token."""
    pending = list(replies)
    try:
        command = next(flow)
        while True:
            if not isinstance(command, Request):
                command = flow.send(False if isinstance(command, RefreshToken) else None)
                continue
            reply = pending.pop(0)
            raises = isinstance(reply, CozeError)
            command = flow.throw(reply) if raises else flow.send(reply)
    except StopIteration as done:
        assert not pending
        return str(done.value)


def make_token_reply(name: str = "czs_1", *, date: float | None = None, **body: Any) -> Reply:
    headers = {} if date is None else {"date": email.utils.formatdate(date, usegmt=True)}
    content = {"access_token": name, "token_type": "Bearer"} | body
    return Reply(status_code=200, headers=headers, body=json.dumps(content).encode())


def make_refusal(word: str, status: int = 401, **headers: str) -> Reply:
    content = {"error_code": word, "error_message": "told", "error": ""}
    return Reply(status_code=status, headers=headers, body=json.dumps(content).encode())


NOW = 1721135859.0


@pytest.mark.parametrize(
    ("duration", "reply", "good"),
    [
        (900, {"expires_in": int(NOW) + 901, "date": NOW}, 840),  # up to a minute stays unused
        (100, {"expires_in": int(NOW) + 101, "date": NOW}, 90),
        (100, {"expires_in": 100}, 90),  # a duration
        (100, {"expires_in": "100"}, 90),
        (100, {}, 90),
        (100, {"expires_in": None}, 90),
        (100, {"expires_in": 10**6}, 90),  # never longer than requested
        (86399, {"expires_in": int(NOW) + 11, "date": NOW}, 9),  # the server grants less
        (100, {"expires_in": int(NOW)}, 90),  # long ago by the local clock, which must be wrong
    ],
)
def test_a_token_is_used_until_shortly_before_it_expires(
    monkeypatch: pytest.MonkeyPatch, duration: int, reply: dict[str, Any], good: float
) -> None:
    wanted = make_grant(duration)
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    assert (
        run_with_replies(
            fetch_token(wanted, oauth_tokens, RetryPolicy()), make_token_reply("czs_1", **reply)
        )
        == "czs_1"
    )
    clock = 1000 + good - 0.5
    assert run_with_replies(fetch_token(wanted, oauth_tokens, RetryPolicy())) == "czs_1"
    clock = 1000 + good + 0.5
    assert (
        run_with_replies(
            fetch_token(wanted, oauth_tokens, RetryPolicy()), make_token_reply("czs_2")
        )
        == "czs_2"
    )


def test_without_a_date_header_the_local_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, clock = make_grant(), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    run_with_replies(
        fetch_token(wanted, oauth_tokens, RetryPolicy()),
        make_token_reply(expires_in=int(time.time()) + 100),
    )
    clock = 1095.0
    assert (
        run_with_replies(
            fetch_token(wanted, oauth_tokens, RetryPolicy()), make_token_reply("czs_2")
        )
        == "czs_2"
    )


def test_only_the_token_that_was_refused_is_forgotten() -> None:
    wanted = make_grant()
    run_with_replies(fetch_token(wanted, oauth_tokens, RetryPolicy()), make_token_reply("czs_1"))
    oauth_tokens.discard(wanted.key, "czs_0")
    assert run_with_replies(fetch_token(wanted, oauth_tokens, RetryPolicy())) == "czs_1"
    oauth_tokens.discard(wanted.key, "czs_1")
    assert (
        run_with_replies(
            fetch_token(wanted, oauth_tokens, RetryPolicy()), make_token_reply("czs_2")
        )
        == "czs_2"
    )


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (make_refusal("invalid_client"), "public_key_id is the fingerprint"),
        (make_refusal("invalid_client", 200), "public_key_id is the fingerprint"),
        (make_refusal("invalid_request", 400), "Check duration_seconds"),
        (make_refusal("unsupported_grant_type", 400), "Check duration_seconds"),
        (make_refusal("access_deny", 403), "Enable the OAuth app"),
        (Reply(status_code=401, body=b"who?"), "public_key_id is the fingerprint"),
        (Reply(status_code=404, body=b"404 page not found"), "self-hosted Coze Studio"),
        (Reply(status_code=405, body=b"<html>"), "self-hosted Coze Studio"),
        (Reply(status_code=200, body=b'{"code":4100,"msg":"m"}'), "public_key_id is"),
    ],
)
def test_refusals_of_the_exchange_have_hints(reply: Reply, hint: str) -> None:
    with pytest.raises(
        CozeAuthenticationError, match="issued no access token to the OAuth app"
    ) as it:
        run_with_replies(fetch_token(make_grant(), oauth_tokens, RetryPolicy()), reply)
    assert hint in (it.value.hint or "")
    assert "提示" in (it.value.hint or "")
    assert "clock" not in str(it.value)
    assert not is_retryable(it.value)


@pytest.mark.parametrize(
    ("offset", "message"), [(3600, "3,600 s behind"), (-90, "90 s ahead of"), (3, ""), (-3, "")]
)
def test_a_wrong_clock_is_reported(offset: int, message: str) -> None:
    date = email.utils.formatdate(time.time() + offset + 0.5, usegmt=True)
    with pytest.raises(CozeAuthenticationError) as caught:
        run_with_replies(
            fetch_token(make_grant(), oauth_tokens, RetryPolicy()),
            make_refusal("invalid_client", date=date),
        )
    text = str(caught.value).replace("3,599", "3,600").replace("91 s", "90 s")
    assert (message in text) if message else ("clock" not in text)
    assert ("NTP" in text) == bool(message)


def test_a_reply_without_a_token_is_an_error() -> None:
    for body in (b'{"expires_in":900}', b'{"access_token":""}', b'{"data":[]}'):
        with pytest.raises(CozeServerError, match="contains no access token"):
            run_with_replies(
                fetch_token(make_grant(), oauth_tokens, RetryPolicy()),
                Reply(status_code=200, body=body),
            )


def test_an_internal_error_is_a_server_error() -> None:
    with pytest.raises(CozeServerError, match="internal_error"):
        run_with_replies(
            fetch_token(make_grant(), oauth_tokens, RetryPolicy()),
            make_refusal("internal_error", 400),
        )


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: CozeConnectionError("no route"), CozeConnectionError),
        (lambda: Reply(status_code=429, headers={"retry-after": "0"}), CozeRateLimitError),
    ],
)
def test_it_is_repeated_as_often_as_allowed_and_no_one_repeats_it_again(
    make: Any, kind: type[CozeError]
) -> None:
    policy = RetryPolicy(max_retries=2)
    with pytest.raises(kind) as caught:
        run_with_replies(fetch_token(make_grant(), oauth_tokens, policy), make(), make(), make())
    assert caught.value.retries_exhausted
    assert (
        run_with_replies(
            fetch_token(make_grant(), oauth_tokens, policy), make(), make(), make_token_reply()
        )
        == "czs_1"
    )


def test_a_failure_is_shared_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, clock = make_grant(), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    with pytest.raises(CozeAuthenticationError) as first:
        run_with_replies(
            fetch_token(wanted, oauth_tokens, RetryPolicy()), make_refusal("invalid_client")
        )
    with pytest.raises(CozeAuthenticationError) as second:
        run_with_replies(fetch_token(wanted, oauth_tokens, RetryPolicy()))
    assert str(second.value) == str(first.value)
    assert second.value is not first.value
    clock += 0.3
    assert (
        run_with_replies(fetch_token(wanted, oauth_tokens, RetryPolicy()), make_token_reply())
        == "czs_1"
    )
