"""The token endpoint of the local server, over a real socket, with JWTs signed by PyJWT."""

import email.utils
import json
import secrets
import subprocess
import sys
import time
from typing import Any

import httpx
import jwt
import pytest

from langchain_coze.local import LocalBot, LocalCoze, LocalOAuthApp
from tests.conftest import serve

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
APP = LocalOAuthApp("310000000002")
OTHER = LocalOAuthApp()
BRIEF = LocalOAuthApp(max_seconds=0.2)

coze = serve(LocalBot(name="tea"), oauth_apps=[APP, BRIEF])


def host(coze: LocalCoze) -> str:
    return coze.base_url.removeprefix("http://")


def signed(
    coze: LocalCoze, app: LocalOAuthApp = APP, header: Any = None, key: str = "", **claims: Any
) -> str:
    now = int(time.time())
    known = {"iss": app.client_id, "aud": host(coze), "iat": now, "exp": now + 600}
    payload = known | {"jti": secrets.token_hex(32)} | claims
    payload = {name: value for name, value in payload.items() if value is not None}
    headers = {"kid": app.key_id, "typ": "JWT"} | (header or {})
    return jwt.encode(payload, key or app.private_key, algorithm="RS256", headers=headers)


def exchange(coze: LocalCoze, token: str, path: str = "token", **body: Any) -> httpx.Response:
    return httpx.post(
        f"{coze.base_url}/api/permission/oauth2/{path}",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        json={"grant_type": GRANT} | body,
        timeout=20,
        trust_env=False,
    )


def me(coze: LocalCoze, token: str) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{coze.base_url}/v1/users/me"
    return httpx.get(address, headers=headers, timeout=20, trust_env=False).json()


def test_a_jwt_is_exchanged_for_a_token(coze: LocalCoze) -> None:
    before = int(time.time())
    reply = exchange(coze, signed(coze))
    told = reply.json()
    assert reply.status_code == 200
    assert set(told) == {"access_token", "expires_in", "token_type"}
    assert told["access_token"].startswith("czs_")
    assert before + 900 <= told["expires_in"] <= time.time() + 901  # a time, not a duration
    assert me(coze, told["access_token"])["code"] == 0


@pytest.mark.parametrize("path", ["account/7/token", "enterprise_id/8/token"])
def test_the_other_token_routes_work_too(coze: LocalCoze, path: str) -> None:
    told = exchange(coze, signed(coze), path, duration_seconds=60, scope=None).json()
    assert told["expires_in"] <= time.time() + 61


def test_the_host_may_stand_without_its_port(coze: LocalCoze) -> None:
    assert exchange(coze, signed(coze, aud="127.0.0.1")).status_code == 200


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"app": OTHER}, "invalid jwt: kid not been registred"),
        ({"header": {"kid": "other"}}, "invalid jwt: kid not been registred"),
        ({"iss": "7"}, "invalid jwt: kid not been registred"),
        ({"key": OTHER.private_key}, "signature"),
        ({"header": {"typ": "at+jwt"}}, "typ JWT"),
        ({"aud": "api.coze.cn"}, "aud must be"),
        ({"jti": None}, "no jti"),
        ({"exp": None}, "no exp"),
        ({"iat": "soon"}, "must be integers"),
        ({"exp": int(time.time()) - 1, "iat": int(time.time()) - 600}, "has expired"),
        ({"iat": int(time.time()) + 1800, "exp": int(time.time()) + 3600}, "not valid yet"),
    ],
)
def test_invalid_jwts_are_refused(coze: LocalCoze, change: dict[str, Any], word: str) -> None:
    reply = exchange(coze, signed(coze, **change))
    assert reply.status_code == 401
    assert reply.json()["error_code"] == reply.json()["error"] == "invalid_client"
    assert word in reply.json()["error_message"]


def test_a_jwt_works_once(coze: LocalCoze) -> None:
    token = signed(coze)
    assert exchange(coze, token).status_code == 200
    assert "only once" in exchange(coze, token).json()["error_message"]


@pytest.mark.parametrize(
    ("token", "body", "told"),
    [
        ("", {}, ("invalid_request", "invalid request: Authorization")),
        ("pat_x", {}, ("invalid_client", "the token is not a JWT")),
        (None, {"grant_type": "x"}, ("unsupported_grant_type", "not supported grant type: x")),
        (None, {"duration_seconds": 0}, ("invalid_request", "invalid request: duration_seconds")),
        (
            None,
            {"duration_seconds": 86400},
            ("invalid_request", "invalid request: duration_seconds"),
        ),
    ],
)
def test_invalid_token_requests_are_refused(
    coze: LocalCoze, token: str | None, body: dict[str, Any], told: tuple[str, str]
) -> None:
    reply = exchange(coze, signed(coze) if token is None else token, **body)
    assert reply.status_code in {400, 401}
    assert (reply.json()["error_code"], reply.json()["error_message"]) == told


def test_a_session_name_is_text(coze: LocalCoze) -> None:
    reply = exchange(coze, signed(coze, session_name=7))
    assert reply.json()["error_message"] == "invalid request: session_name"


def test_a_token_expires(coze: LocalCoze) -> None:
    told = exchange(coze, signed(coze, BRIEF)).json()
    assert told["expires_in"] <= time.time() + 2
    assert me(coze, told["access_token"])["code"] == 0
    coze.clock_offset = 5
    try:
        assert me(coze, told["access_token"])["code"] == 700012006
        assert me(coze, coze.token)["code"] == 0
    finally:
        coze.clock_offset = 0
    assert me(coze, "czs_unknown")["code"] == 700012006


def test_a_clock_offset_shows_in_the_date_header(coze: LocalCoze) -> None:
    coze.clock_offset = 3600
    try:
        reply = exchange(coze, signed(coze))
    finally:
        coze.clock_offset = 0
    date = email.utils.parsedate_to_datetime(reply.headers["date"])
    assert abs(date.timestamp() - time.time() - 3600) < 5
    assert "has expired" in reply.json()["error_message"]


def test_sessions_do_not_see_each_other(coze: LocalCoze) -> None:
    tokens = [
        exchange(coze, signed(coze, session_name=name)).json()["access_token"]
        for name in ("ada", "ada", "ben")
    ] + [coze.token]

    def ask(token: str, verb: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        address = f"{coze.base_url}{path}"
        options |= {"headers": headers, "timeout": 20, "trust_env": False}
        return httpx.request(verb, address, **options).json()

    bot_id = coze.bots[0].bot_id
    made = ask(tokens[0], "POST", "/v1/conversation/create", json={"bot_id": bot_id})["data"]
    place = {"conversation_id": made["id"]}
    question = {"role": "user", "content": "hi", "content_type": "text"}
    body = {"bot_id": bot_id, "user_id": "u", "additional_messages": [question]}
    chat = ask(tokens[0], "POST", "/v3/chat", params=place, json=body)["data"]
    part = {"file": ("a.txt", b"tea", "text/plain")}
    file = ask(tokens[0], "POST", "/v1/files/upload", files=part)["data"]

    def seen(token: str) -> list[int]:
        chats = place | {"chat_id": chat["id"]}
        return [
            ask(token, "GET", "/v1/conversation/retrieve", params=place)["code"],
            ask(token, "POST", "/v1/conversation/message/list", params=place)["code"],
            ask(token, "GET", "/v3/chat/retrieve", params=chats)["code"],
            ask(token, "GET", "/v1/files/retrieve", params={"file_id": file["id"]})["code"],
            len(
                ask(token, "GET", "/v1/conversations", params={"bot_id": bot_id})["data"][
                    "conversations"
                ]
            ),
        ]

    # The same session has other tokens in time; other sessions and accounts are other users.
    assert seen(tokens[1]) == [0, 0, 0, 0, 1]
    for stranger in tokens[2:]:
        assert seen(stranger) == [4002, 4002, 4001, 4000, 0]
        refused = ask(stranger, "POST", "/v3/chat", params=place, json=body)
        assert refused["code"] == 4002


def test_an_app_may_have_a_given_key() -> None:
    app = LocalOAuthApp("7", public_key=OTHER.public_key, key_id="mine")
    assert (app.private_key, app.key_id) == ("", "mine")
    assert LocalOAuthApp("8", public_key=OTHER.public_key).key_id == OTHER.key_id
    with LocalCoze(LocalBot(name="tea"), oauth_apps=app) as coze:
        assert exchange(coze, signed(coze, app, key=OTHER.private_key)).status_code == 200


def test_secrets_are_not_shown() -> None:
    assert "BEGIN" not in repr(APP) + repr(LocalCoze(oauth_apps=APP))
    with pytest.raises(TypeError, match="LocalOAuthApp"):
        LocalCoze(oauth_apps=["310000000002"])


def test_a_missing_extra_is_explained() -> None:
    code = (
        "import sys; sys.modules['jwt'] = None\n"
        "from langchain_coze.local import LocalCoze, LocalOAuthApp\n"
        "LocalCoze()\n"  # does without
        "try: LocalOAuthApp()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert 'pip install "PyJWT[crypto]"' in done.stdout


def test_a_body_that_is_not_json_is_refused(coze: LocalCoze) -> None:
    address = f"{coze.base_url}/api/permission/oauth2/token"
    headers = {"Authorization": f"Bearer {signed(coze)}"}
    reply = httpx.post(address, content=b"grant", headers=headers, timeout=20, trust_env=False)
    assert json.loads(reply.content)["error_code"] == "unsupported_grant_type"
