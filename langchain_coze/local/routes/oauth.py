"""The token endpoint of OAuth service apps (wire 6.1)."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any

from langchain_coze.local.oauth_apps import MAX_TOKEN_SECONDS, LocalOAuthApp
from langchain_coze.local.routes.request_context import RequestContext, RouteGroup, route
from langchain_coze.local.routes.state import IssuedToken, ServerState
from langchain_coze.local.wire.ids import derive_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

_BASE = "/api/permission/oauth2"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEFAULT_TOKEN_SECONDS = 900
_LEEWAY = 60  # seconds; the iat of a JWT may be this far in the future
_REQUIRED_CLAIMS = ("iss", "aud", "iat", "exp", "jti")


class _TokenError(Exception):
    """An error of the token endpoint: an RFC 6749 code and a message."""


class OAuthRoutes(RouteGroup):
    """The token endpoint."""

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        super().__init__(state)
        self._used_jwt_ids: set[str] = set()

    # Requests carry a JWT instead of a token.
    @route(f"{_BASE}/token", "POST", public=True)
    @route(f"{_BASE}/account/{{account_id}}/token", "POST", public=True)
    @route(f"{_BASE}/enterprise_id/{{enterprise_id}}/token", "POST", public=True)
    async def _issue_token(self, context: RequestContext) -> Response:
        try:
            app, claims = self._verify_jwt(context)
            seconds = _read_duration(context.body)
        except _TokenError as error:
            code, message = error.args
            body = {"error_code": code, "error_message": message, "error": code}
            # The API's page lists the codes (wire 6.2), not their statuses; these are RFC 6749's.
            return context.reply_plain(body, 401 if code == "invalid_client" else 400)
        account = context.query.get("account_id") or context.query.get("enterprise_id") or ""
        owner = derive_id("owner", app.client_id, account, claims.get("session_name") or "")
        token = f"czs_{secrets.token_urlsafe(48)}"
        expires_at = math.ceil(self._state.now + min(seconds, app.max_seconds))
        self._state.issued_tokens[token] = IssuedToken(owner, expires_at)
        # Despite its name, expires_in is a point in time.
        return context.reply_plain(
            {"access_token": token, "expires_in": expires_at, "token_type": "Bearer"}
        )

    def _verify_jwt(self, context: RequestContext) -> tuple[LocalOAuthApp, Mapping[str, Any]]:
        """Return the app that signed a request's JWT, and the claims of the JWT."""
        headers = context.request.headers
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise _TokenError("invalid_request", "invalid request: Authorization")
        app = self._get_app(token)
        claims = _decode_jwt(token, app)
        host = headers.get("host", "")
        if claims["aud"] not in {host, host.rpartition(":")[0]}:
            raise _TokenError("invalid_client", f"aud must be {host!r}, not {claims['aud']!r}")
        self._check_times(claims)
        jwt_id, session_name = claims["jti"], claims.get("session_name")
        if not isinstance(session_name, str | None):
            raise _TokenError("invalid_request", "invalid request: session_name")
        if not isinstance(jwt_id, str) or not jwt_id or jwt_id in self._used_jwt_ids:
            raise _TokenError("invalid_client", "a JWT can be used only once: jti is not new")
        self._used_jwt_ids.add(jwt_id)
        return app, claims

    def _get_app(self, token: str) -> LocalOAuthApp:
        import jwt  # noqa: PLC0415 - an extra

        try:
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError:
            raise _TokenError("invalid_client", "the token is not a JWT") from None
        if header.get("alg") != "RS256" or header.get("typ") != "JWT":
            raise _TokenError("invalid_client", "the JWT's header must say alg RS256 and typ JWT")
        for app in self._state.settings.oauth_apps:
            if (app.client_id, app.key_id) == (issuer, header.get("kid")):
                return app
        raise _TokenError("invalid_client", "invalid jwt: kid not been registred")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        issued_at, expires_at = claims["iat"], claims["exp"]
        are_numbers = isinstance(issued_at, int) and isinstance(expires_at, int)
        if not are_numbers or issued_at >= expires_at:
            raise _TokenError("invalid_client", "iat and exp must be integers, with iat before exp")
        if issued_at > self._state.now + _LEEWAY:
            raise _TokenError("invalid_client", "the JWT is not valid yet: iat is in the future")
        if expires_at <= self._state.now:
            raise _TokenError("invalid_client", "the JWT has expired: exp has passed")


def _decode_jwt(token: str, app: LocalOAuthApp) -> Mapping[str, Any]:
    import jwt  # noqa: PLC0415 - an extra

    # The times are checked against the server's clock, which `clock_offset` may shift.
    options: Any = {"require": list(_REQUIRED_CLAIMS), "verify_aud": False, "verify_exp": False}
    options |= {"verify_iat": False, "verify_jti": False}
    try:
        return jwt.decode(token, app.public_key, algorithms=["RS256"], options=options)
    except jwt.MissingRequiredClaimError as error:
        raise _TokenError("invalid_client", f"the JWT has no {error.claim}") from None
    except jwt.PyJWTError:
        raise _TokenError("invalid_client", "the signature does not match the public key") from None


def _read_duration(body: Any) -> int:
    body = body if isinstance(body, dict) else {}
    if (grant_type := body.get("grant_type")) != _GRANT_TYPE:
        raise _TokenError("unsupported_grant_type", f"not supported grant type: {grant_type}")
    seconds = body.get("duration_seconds")
    seconds = _DEFAULT_TOKEN_SECONDS if seconds is None else seconds
    if not isinstance(seconds, int) or not 1 <= seconds <= MAX_TOKEN_SECONDS:
        raise _TokenError("invalid_request", "invalid request: duration_seconds")
    return seconds
