"""Exchange a signed JWT for an access token, which all callers share (wire section 6.1)."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from langchain_coze import _oauth_hints as oauth_hints
from langchain_coze._api.deadlines import has_passed
from langchain_coze._api.effects import Flow, Reply, Request
from langchain_coze._api.error_codes import is_missing_route
from langchain_coze._api.models import ErrorReport, get_payload, parse_json
from langchain_coze._api.replies import collect_error_context, parse_date
from langchain_coze._api.retry import RetryPolicy, send_with_retry
from langchain_coze._api.singleflight import TTLCache, get_or_create
from langchain_coze._api.token_sources import CallableToken
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeError,
    CozeServerError,
    convert_error,
)

_MIN_TIMESTAMP = 10**9  # an `expires_in` above this is a Unix time, below it a duration
_MAX_EXPIRY_MARGIN, _EXPIRY_MARGIN_SHARE = 60.0, 0.1
_READ_TIMEOUT = 30.0  # seconds, for the token endpoint
_FAILURE_CACHE_SECONDS = 0.25  # concurrent callers share an error for this long
_UNKNOWN_KEY = "invalid jwt: kid"
_MIN_CLOCK_SKEW = 30.0  # seconds; report clock skew above this

_HINTS: Mapping[str, str] = {
    "invalid_client": oauth_hints.OAUTH_APP,
    "access_deny": oauth_hints.OAUTH_DISABLED,
    "invalid_request": oauth_hints.OAUTH_REQUEST,
    "unsupported_grant_type": oauth_hints.OAUTH_REQUEST,
}


class TokenRequest(NamedTuple):
    """An OAuth app's request for a token of `seconds`; requests with the same key share it."""

    key: str
    path: str
    body: Mapping[str, Any]
    seconds: int
    sign: Callable[[], str]


class JWTSigner(CallableToken):
    """A token source that signs a new JWT for each request; no JWT is sent twice."""

    def invalidate(self) -> bool:
        """Return False: do not retry after a rejected JWT."""
        return False


def fetch_token(token_request: TokenRequest, cache: TTLCache, policy: RetryPolicy) -> Flow[str]:
    """Return the access token for a token request, from the cache or newly requested.

    A token is replaced when a tenth of its lifetime, at most a minute, remains. If a request fails,
    all callers that wait for it get the same error, so that an outage does not cause a thousand
    requests. The token source of the driver must be a `JWTSigner`.
    """
    create = functools.partial(_request_or_error, token_request, policy)
    token = yield from get_or_create(cache, token_request.key, create, deadline=policy.deadline)
    if isinstance(token, str):
        return token
    raise copy.copy(token)  # each caller adds its traceback to a copy


def _request_or_error(
    token_request: TokenRequest, policy: RetryPolicy
) -> Flow[tuple[str | CozeError, float]]:
    try:
        return (yield from _request_token(token_request, policy))
    except CozeError as error:
        if has_passed(policy.deadline):
            raise  # other callers have other deadlines
        final = error.with_context(retries_exhausted=True)  # the retries have been made here
        return final.with_traceback(None), _FAILURE_CACHE_SECONDS


def _request_token(token_request: TokenRequest, policy: RetryPolicy) -> Flow[tuple[str, float]]:
    http_request = Request(
        method="POST", path=token_request.path, body=token_request.body, read_timeout=_READ_TIMEOUT
    )
    try:
        reply: Reply = yield from send_with_retry(http_request, policy)
    except CozeError as error:
        raise _explain_refusal(error).with_context(may_have_started=False) from None
    body = reply.json if "access_token" in reply.json else get_payload(reply.json)
    token = body.get("access_token") if isinstance(body, Mapping) else None
    if not isinstance(token, str) or not token:
        raise _explain_missing_token(reply)
    life = min(
        _compute_lifetime(body.get("expires_in"), reply, token_request.seconds),
        float(token_request.seconds),
    )
    return token, life - min(_MAX_EXPIRY_MARGIN, life * _EXPIRY_MARGIN_SHARE)


def _explain_missing_token(reply: Reply) -> CozeError:
    """Return the error for a reply without a token; the body may contain the reason."""
    reason = str(reply.json.get("error_message") or reply.json.get("msg") or "")
    message = f"Coze's reply to the OAuth app contains no access token. {reason}".strip()
    context = collect_error_context(reply)
    if _UNKNOWN_KEY in reason:
        return CozeAuthenticationError(message, hint=oauth_hints.OAUTH_APP, **context)
    return CozeServerError(message, **context)


def _compute_lifetime(expires: Any, reply: Reply, requested: float) -> float:
    """Return the lifetime of a token in seconds; `expires_in` is usually a Unix time."""
    try:
        seconds = float(expires)
    except (TypeError, ValueError):
        return requested
    if seconds <= _MIN_TIMESTAMP:
        return seconds
    date = parse_date(reply.headers.get("date"))
    if date is not None:  # by the server's clock, in whole seconds; the local one may be off
        return seconds - date - 1
    remaining = seconds - time.time()
    return remaining if remaining > 0 else requested


def _explain_refusal(error: CozeError) -> CozeError:
    """Return the error for a refused token request, with a hint about the cause."""
    if error.response is None:
        return error
    word = ErrorReport.parse(parse_json(error.response.text.encode())).error_code
    if word == "internal_error":
        return convert_error(error, CozeServerError)
    if not word and is_missing_route(error):
        hint = oauth_hints.NO_OAUTH
    elif _UNKNOWN_KEY in error.message:  # Coze sends it with different error words, or with none
        hint = oauth_hints.OAUTH_APP
    elif word in _HINTS or isinstance(error, CozeAuthenticationError):
        hint = _HINTS.get(word, oauth_hints.OAUTH_APP)
    else:
        return error
    message = f"Coze issued no access token to the OAuth app: {error.message.rstrip('.')}."
    clock_message, clock_hint = _describe_clock_skew(error.response.headers)
    return convert_error(
        error, CozeAuthenticationError, message=message + clock_message, hint=clock_hint + hint
    )


def _describe_clock_skew(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return a sentence and a hint about clock skew; both empty if it is small or unknown."""
    date = parse_date(headers.get("date"))
    ahead = 0.0 if date is None else time.time() - date
    if abs(ahead) < _MIN_CLOCK_SKEW:
        return "", ""
    seconds = f"{abs(ahead):,.0f}"
    direction, hint = (
        ("ahead of", oauth_hints.CLOCK_AHEAD) if ahead > 0 else ("behind", oauth_hints.CLOCK_BEHIND)
    )
    message = f" This computer's clock is {seconds} s {direction} Coze's."
    return message, f"{hint.format(seconds=seconds)}\n"
