"""OAuth service apps: access tokens, fetched and refreshed as needed (wire section 6.1)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from langchain_coze import _hints as hints
from langchain_coze import _oauth_hints as oauth_hints
from langchain_coze import _runtime
from langchain_coze._api.oauth import JWTSigner, TokenRequest, fetch_token
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._api.settings import HttpBackend, Settings
from langchain_coze._environment import (
    DEFAULT_BASE_URL,
    check_backend,
    clean_base_url,
    from_env,
)
from langchain_coze.errors import CozeAuthenticationError, CozeInvalidRequestError

if TYPE_CHECKING:
    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT_SECONDS = 600  # the lifetime of a JWT, which is sent only once, not of the token
_JTI_BYTES = 32
_MAX_DURATION_SECONDS = 86399


def _read_private_key_from_env() -> Any:
    path = from_env("COZE_JWT_OAUTH_PRIVATE_KEY_FILE_PATH")()
    return from_env("COZE_JWT_OAUTH_PRIVATE_KEY")() or (Path(path) if path else "")


class CozeJWTAuth(BaseModel):
    """An OAuth service app, to pass as `api_key` of a `ChatCoze`.

    It can be pickled, copied, and used from several threads and event loops. The tokens are cached
    in the process and shared by all objects for the same app. A pickle contains the private key:
    protect it like the key. Requires the extra `oauth`.

    Args:
        client_id: The id of the OAuth app. Env `COZE_JWT_OAUTH_CLIENT_ID`.
        private_key: The private key as PEM text, or the path of a PEM file as a path-like object.
            Env `COZE_JWT_OAUTH_PRIVATE_KEY`, then `COZE_JWT_OAUTH_PRIVATE_KEY_FILE_PATH`.
        public_key_id: The fingerprint of the public key. Env `COZE_JWT_OAUTH_PUBLIC_KEY_ID`.
        session_name: The end user, or a function that returns it for each request. Each session has
            its own token and separate conversations.
        duration_seconds: The lifetime of a token, 1 to 86399 seconds.
        scope: The permissions of the token, in Coze's format; for channel apps.
        session_context: Device information for the JWT, in Coze's format.
        account_id: The organization to request the token for, or None.
        enterprise_id: The enterprise to request the token for, or None.
        base_url: The server of the app; None for the server of the model.
        audience: The claim `aud` of the JWT; None for the host of the server. Set it where a
            gateway or a private link stands before Coze, for instance to `api.coze.cn`.
        http_backend: As in `ChatCoze`, for `atoken`; a model fetches tokens with its own.

    Raises:
        ImportError: The extra `oauth` is not installed.
        ValueError: A field is missing or invalid (a pydantic `ValidationError`).

    Source: wire section 6.1.

    Example:
        ```python
        from langchain_coze import ChatCoze, CozeJWTAuth
        from langchain_coze.local import LocalCoze, LocalOAuthApp

        app = LocalOAuthApp()  # in Coze: API & SDK → Authorization → OAuth apps
        auth = CozeJWTAuth(
            client_id=app.client_id,
            private_key=app.private_key,
            public_key_id=app.key_id,
            session_name="user-42",
        )
        with LocalCoze(oauth_apps=app) as coze:
            bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=auth, base_url=coze.base_url)
            assert bot.invoke("What is Coze?").text
        assert app.private_key not in repr(auth)
        ```
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # the input may be the private key
    )

    client_id: str = Field(
        default_factory=from_env("COZE_JWT_OAUTH_CLIENT_ID", default=""), coerce_numbers_to_str=True
    )
    private_key: SecretStr | Any = Field(
        default_factory=_read_private_key_from_env, repr=False, exclude=True, validate_default=True
    )
    public_key_id: str = Field(default_factory=from_env("COZE_JWT_OAUTH_PUBLIC_KEY_ID", default=""))
    session_name: str | Callable[[], str | None] | None = None
    duration_seconds: int = Field(default=900, ge=1, le=_MAX_DURATION_SECONDS)
    scope: Mapping[str, Any] | None = None
    session_context: Mapping[str, Any] | None = None
    account_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    enterprise_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    base_url: str | None = None
    audience: str | None = None
    http_backend: HttpBackend = "httpx"

    @model_validator(mode="before")
    @classmethod
    def _reject_ttl(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "ttl" in values:  # its name in cozepy
            hint = hints.REPLACED.format(replacement="duration_seconds=")
            raise ValueError(f"CozeJWTAuth has no argument 'ttl'.\n{hint}")
        return values

    @field_validator("private_key", mode="before")
    @classmethod
    def _load_key(cls, value: Any) -> Any:
        if isinstance(value, os.PathLike):
            try:
                value = Path(value).read_text("utf-8")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise ValueError(
                    f"The private key cannot be read: {reason}.\n{oauth_hints.PRIVATE_KEY}"
                ) from None
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not text:
            raise ValueError(f"No private key is set.\n{oauth_hints.OAUTH_SETUP}")
        if not isinstance(text, str) or "PRIVATE KEY-----" not in text:
            raise ValueError(f"`private_key` is not a PEM private key.\n{oauth_hints.PRIVATE_KEY}")
        return SecretStr(text.replace("\\n", "\n"))  # env files escape line breaks

    @field_validator("http_backend", mode="before")
    @classmethod
    def _check_backend(cls, value: Any) -> Any:
        return check_backend(value)

    @field_validator("base_url")
    @classmethod
    def _clean_base_url(cls, value: str | None) -> str | None:
        return None if value is None else clean_base_url(value)

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        for module, package in (("jwt", "PyJWT"), ("cryptography", "cryptography")):
            if importlib.util.find_spec(module) is None:
                raise ImportError(oauth_hints.OAUTH_EXTRA.format(package=package))
        for name in ("client_id", "public_key_id"):
            if not getattr(self, name):
                raise ValueError(f"No {name} is set.\n{oauth_hints.OAUTH_SETUP}")
        if self.account_id and self.enterprise_id:
            raise ValueError(oauth_hints.ACCOUNT_OR_ENTERPRISE)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; see `BaseModel.model_copy`. A new private key is stored as a secret.

        Args:
            update: The new values.
            deep: Whether to copy the values as well.

        Raises:
            ValueError: The new private key is invalid.
        """
        if update and "private_key" in update:
            update = {**update, "private_key": self._load_key(update["private_key"])}
        return super().model_copy(update=update, deep=deep)

    def for_session(self, session_name: str | Callable[[], str | None] | None) -> Self:
        """Return a copy of this app for another session.

        Args:
            session_name: The end user, a function that returns it for each request, or None.
        """
        return self.model_copy(update={"session_name": session_name})

    @property
    def token(self) -> str:
        """A token that will not expire soon, for use outside this package. May block for a request.

        Raises:
            CozeAuthenticationError: Coze rejected the app or the JWT.
            CozeError: Any other error.
        """
        return self.make_token_source().get().get_secret_value()

    def __call__(self) -> str:
        """Return `token`."""
        return self.token

    async def atoken(self) -> str:
        """Async version of `token`.

        Raises:
            CozeAuthenticationError: Coze rejected the app or the JWT.
            CozeError: Any other error.
        """
        return (await self.make_token_source().aget()).get_secret_value()

    def make_token_source(
        self, settings: Settings | None = None, policy: RetryPolicy | None = None
    ) -> JWTTokenSource:
        """Return a token source for requests to one server.

        Args:
            settings: How to reach that server; None uses `base_url`, or else env `COZE_API_BASE`.
            policy: The retry policy of token requests.
        """
        if settings is None:
            default = self.base_url or from_env("COZE_API_BASE", default=DEFAULT_BASE_URL)()
            try:
                base_url = clean_base_url(default)
            except ValueError as error:  # from the environment variable
                raise CozeInvalidRequestError(str(error)) from None
            settings = Settings(base_url=base_url, http_backend=self.http_backend)
        elif self.base_url not in {None, settings.base_url}:
            # The default headers belong to the other server.
            settings = dataclasses.replace(settings, base_url=self.base_url, headers={})
        make_request = functools.partial(self._build_token_request, settings.base_url)
        return JWTTokenSource(make_request, settings, policy or RetryPolicy())

    def _build_token_request(self, base_url: str) -> TokenRequest:
        name = self.session_name
        session_name = (name() if callable(name) else name) or None
        fields = self.model_dump(exclude={"session_name", "base_url", "http_backend"})
        secret = self.private_key.get_secret_value()
        identity = json.dumps([base_url, session_name, fields, secret], sort_keys=True, default=str)
        owner = f"account/{self.account_id}/" if self.account_id else ""
        if self.enterprise_id:
            owner = f"enterprise_id/{self.enterprise_id}/"
        body: dict[str, Any] = {
            "grant_type": _GRANT_TYPE,
            "duration_seconds": self.duration_seconds,
        }
        return TokenRequest(
            key=hashlib.sha256(identity.encode()).hexdigest(),
            path=f"/api/permission/oauth2/{owner}token",
            body=body | ({"scope": dict(self.scope)} if self.scope else {}),
            seconds=self.duration_seconds,
            sign=functools.partial(
                self._sign_jwt, self.audience or urlsplit(base_url).netloc, session_name
            ),
        )

    def _sign_jwt(self, audience: str, session_name: str | None) -> str:
        import jwt  # noqa: PLC0415 - needs the extra `oauth`

        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.client_id,
            "aud": audience,
            "iat": now,
            "exp": now + _JWT_SECONDS,
            "jti": secrets.token_hex(_JTI_BYTES),
        }
        if session_name:
            claims["session_name"] = session_name
        if self.session_context:
            claims["session_context"] = dict(self.session_context)
        headers = {"kid": self.public_key_id, "typ": "JWT"}
        return jwt.encode(
            claims, _load_private_key(self.private_key), algorithm="RS256", headers=headers
        )


class JWTTokenSource:
    """The token source of an app for one server; the process caches its tokens."""

    __slots__ = ("_last_issued", "_make_request", "_policy", "_settings")

    def __init__(
        self, make_request: Callable[[], TokenRequest], settings: Settings, policy: RetryPolicy
    ) -> None:
        """Create a source from a function that returns the current token request."""
        self._make_request = make_request
        self._settings = settings
        self._policy = policy
        self._last_issued: tuple[str, str] | None = None

    @property
    def cache_key(self) -> str:
        """A key for the app and its session, which is the same for all their tokens."""
        return self._make_request().key

    def get(self, deadline: float | None = None) -> SecretStr:
        """Return a token that will not expire soon, before a deadline."""
        driver, flow = self._prepare(deadline)
        return driver.run(flow)

    async def aget(self, deadline: float | None = None) -> SecretStr:
        """Async version of `get`."""
        driver, flow = self._prepare(deadline)
        return await driver.arun(flow)

    def invalidate(self) -> bool:
        """Discard the last token, unless the cache already has a new one; return True."""
        if self._last_issued is not None:
            _runtime.oauth_tokens.discard(*self._last_issued)
        return True

    def _prepare(self, deadline: float | None) -> tuple[Driver, Flow[SecretStr]]:
        request = self._make_request()
        driver = _runtime.make_driver(self._settings, JWTSigner(request.sign))
        return driver, self._fetch(request, self._policy._replace(deadline=deadline))

    def _fetch(self, request: TokenRequest, policy: RetryPolicy) -> Flow[SecretStr]:
        token = yield from fetch_token(request, _runtime.oauth_tokens, policy)
        self._last_issued = request.key, token
        return SecretStr(token)


@functools.lru_cache(maxsize=16)
def _load_private_key(private_key: SecretStr) -> Any:
    """Return the parsed key, from a cache: parsing takes a hundred times as long as signing."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - extra `oauth`
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 - extra `oauth`
    from jwt.exceptions import PyJWTError  # noqa: PLC0415 - extra `oauth`

    try:
        return RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(private_key.get_secret_value())
    except (PyJWTError, TypeError, UnsupportedAlgorithm, ValueError):
        message = "private_key is not an RSA private key without a password."
        error = CozeAuthenticationError(message, hint=oauth_hints.PRIVATE_KEY)
        raise error from None  # the cause may quote the key
