"""OAuth for service apps: a signed JWT is exchanged for an access token (wire 6.1)."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.context import Call, Issued, RouteEntry, Site, as_json, digest
from langchain_coze.local.wire.ids import new_id, stable_id

if TYPE_CHECKING:
    from starlette.responses import Response

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEFAULT_SECONDS, _MOST_SECONDS = 900, 86399
_LEEWAY = 60  # seconds that a JWT may come from the future
_KEY_BITS = 2048
_CLAIMS = ("iss", "aud", "iat", "exp", "jti")
# The API's page lists the words (wire 6.2), not their statuses; these are those of RFC 6749.
_STATUSES = {"invalid_client": 401}


@dataclass(eq=False)
class LocalOAuthApp:
    """An OAuth app of the kind "service app", whose JWTs a `LocalCoze` takes.

    Needs the extra `oauth`.

    Attributes:
        client_id: Its id, the JWT's `iss`; made up when not given.
        public_key: Its public key as PEM text. Without one a key pair is made, and `private_key`
            is what a client signs with.
        key_id: The fingerprint of the public key, the JWT's `kid`; computed when not given.
        max_seconds: Its tokens live no longer, however long the client asks for.
        private_key: The private key as PEM text; empty when a public key was given.

    Raises:
        ImportError: The extra is missing.

    Source: Coze API, OAuth JWT (wire 6.1).

    Example:
        >>> app = LocalOAuthApp(max_seconds=60)
        >>> app.private_key.startswith("-----BEGIN PRIVATE KEY-----"), "BEGIN" in repr(app)
        (True, False)
    """

    client_id: str = ""
    _: KW_ONLY
    public_key: str = field(default="", repr=False)
    key_id: str = ""
    max_seconds: float = _MOST_SECONDS
    private_key: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        """Make what was not given."""
        _check_extra()
        self.client_id = self.client_id or new_id()
        if not self.public_key:
            self.private_key, self.public_key = _key_pair()
        self.key_id = self.key_id or _fingerprint(self.public_key)


def as_oauth_apps(apps: Any) -> tuple[LocalOAuthApp, ...]:
    """Make a tuple of the apps that a server may be given: one, or several, or none.

    Raises:
        TypeError: Something else was given.

    Example:
        >>> as_oauth_apps(())
        ()
    """
    given = (apps,) if isinstance(apps, LocalOAuthApp) or not isinstance(apps, Iterable) else apps
    found = tuple(given)
    for app in found:
        if not isinstance(app, LocalOAuthApp):
            raise TypeError(f"oauth_apps takes LocalOAuthApp objects, not {type(app).__name__}")
    return found


class _Refused(Exception):  # noqa: N818 - it is an answer of the API, not a fault of this program
    def __init__(self, error_code: str, error_message: str) -> None:
        super().__init__(error_message)
        self.error_code, self.error_message = error_code, error_message


class OAuthRoutes:
    """The token endpoint."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site
        self._used: set[str] = set()

    def routes(self) -> list[RouteEntry]:
        """Its routes; the JWT stands in the place of the token."""
        base = "/api/permission/oauth2"
        paths = ("token", "account/{account_id}/token", "enterprise_id/{enterprise_id}/token")
        return [RouteEntry(f"{base}/{path}", ["POST"], self._token, open=True) for path in paths]

    async def _token(self, call: Call) -> Response:
        try:
            app, claims = self._verified(call)
            seconds = _duration(call.body)
        except _Refused as refused:
            told = {"error_code": refused.error_code, "error_message": refused.error_message}
            return as_json(told, _STATUSES.get(refused.error_code, 400))
        account = call.query.get("account_id") or call.query.get("enterprise_id") or ""
        owner = stable_id("owner", app.client_id, account, claims.get("session_name") or "")
        token = f"czs_{secrets.token_urlsafe(48)}"
        until = math.ceil(self._site.now + min(seconds, app.max_seconds))
        self._site.issued[digest(token)] = Issued(owner, until)
        # An absolute time, in spite of its name.
        return as_json({"access_token": token, "expires_in": until, "token_type": "Bearer"})

    def _verified(self, call: Call) -> tuple[LocalOAuthApp, Mapping[str, Any]]:
        """The app that a JWT comes from, and what the JWT claims."""
        scheme, _, text = call.request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not text:
            raise _Refused("invalid_request", "invalid request: Authorization")
        app = self._app(text)
        claims = _decoded(text, app)
        host = call.request.headers.get("host", "")
        if claims["aud"] not in {host, host.rpartition(":")[0]}:
            raise _Refused("invalid_client", f"aud must be {host!r}, not {claims['aud']!r}")
        self._check_times(claims)
        jti, session_name = claims["jti"], claims.get("session_name")
        if not isinstance(session_name, str | None):
            raise _Refused("invalid_request", "invalid request: session_name")
        if not isinstance(jti, str) or not jti or jti in self._used:
            raise _Refused("invalid_client", "a JWT can be used only once: jti is not new")
        self._used.add(jti)
        return app, claims

    def _app(self, text: str) -> LocalOAuthApp:
        import jwt  # noqa: PLC0415 - an extra

        try:
            header = jwt.get_unverified_header(text)
            issuer = jwt.decode(text, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError:
            raise _Refused("invalid_client", "the token is not a JWT") from None
        if header.get("alg") != "RS256" or header.get("typ") != "JWT":
            raise _Refused("invalid_client", "the JWT's header must say alg RS256 and typ JWT")
        for app in self._site.settings.oauth_apps:
            if (app.client_id, app.key_id) == (issuer, header.get("kid")):
                return app
        raise _Refused("invalid_client", "there is no app with this iss and this kid")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        begin, end = claims["iat"], claims["exp"]
        if not (isinstance(begin, int) and isinstance(end, int) and begin < end):
            raise _Refused("invalid_client", "iat and exp must be whole seconds, exp the later")
        if begin > self._site.now + _LEEWAY:
            raise _Refused("invalid_client", "the JWT is not valid yet: iat lies in the future")
        if end <= self._site.now:
            raise _Refused("invalid_client", "the JWT has expired: exp has passed")


def _decoded(text: str, app: LocalOAuthApp) -> Mapping[str, Any]:
    import jwt  # noqa: PLC0415 - an extra

    # Times are checked by the server's own clock, which may be set off on purpose.
    options: Any = {"require": list(_CLAIMS), "verify_aud": False, "verify_exp": False}
    options |= {"verify_iat": False, "verify_jti": False}
    try:
        return jwt.decode(text, app.public_key, algorithms=["RS256"], options=options)
    except jwt.MissingRequiredClaimError as error:
        raise _Refused("invalid_client", f"the JWT has no {error.claim}") from None
    except jwt.PyJWTError:
        raise _Refused("invalid_client", "the signature does not fit the public key") from None


def _duration(body: Any) -> int:
    body = body if isinstance(body, dict) else {}
    if (grant := body.get("grant_type")) != _GRANT:
        raise _Refused("unsupported_grant_type", f"not supported grant type: {grant}")
    seconds = body.get("duration_seconds")
    seconds = _DEFAULT_SECONDS if seconds is None else seconds
    if not isinstance(seconds, int) or not 1 <= seconds <= _MOST_SECONDS:
        raise _Refused("invalid_request", "invalid request: duration_seconds")
    return seconds


def _check_extra() -> None:
    for module, package in (("jwt", "PyJWT"), ("cryptography", "cryptography")):
        if importlib.util.find_spec(module) is None:
            raise ImportError(
                f'OAuth needs {package}, which is missing: pip install "langchain-coze[oauth]"'
                f" / 缺少 {package}，请运行上面的命令安装"
            )


def _key_pair() -> tuple[str, str]:
    """A new private key and its public key, as PEM text."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - the same

    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    private = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public.decode()


def _fingerprint(public_key: str) -> str:
    digest = hashlib.sha256("".join(public_key.split()).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
