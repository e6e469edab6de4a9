"""File uploads: each file is sent once and its id is cached (wire section 5.3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from langchain_coze import _hints as hints
from langchain_coze._api.effects import Flow, GetAccountKey, Request, Upload
from langchain_coze._api.replies import collect_error_context, read_object
from langchain_coze._api.retry import RetryPolicy, send_with_retry
from langchain_coze._api.singleflight import TTLCache, get_or_create
from langchain_coze.errors import CozeError, CozeServerError

if TYPE_CHECKING:
    from collections.abc import Iterable

_WRONG_EXTENSION = "file content or filename is invalid"
_CACHE_SECONDS = 24 * 3600.0  # well below the three months that Coze keeps a file


def _upload(file: Upload, policy: RetryPolicy) -> Flow[tuple[str, float]]:
    """Upload a file; return its id, valid for this account, and the seconds to cache it."""
    request = Request(method="POST", path="/v1/files/upload", file=file)
    try:
        reply = yield from send_with_retry(request, policy)
    except CozeError as error:
        error = error.with_context(may_have_started=False)  # an upload starts no turn and no run
        if _WRONG_EXTENSION in error.message:
            message = f"{file.name!r}: {error.message}"
            error = error.with_context(message=message, hint=hints.WRONG_EXTENSION)
        raise error from error.__cause__
    file_id = read_object(reply).get("id")
    if not file_id:
        context = collect_error_context(reply)
        raise CozeServerError("Coze accepted the file but returned no id for it.", **context)
    return str(file_id), _CACHE_SECONDS


def upload_all(
    files: Iterable[Upload], cache: TTLCache, base_url: str, policy: RetryPolicy
) -> Flow[dict[str, str]]:
    """Upload files, each one once per account, and return their ids by digest."""
    ids: dict[str, str] = {}
    account = ""
    for file in files:
        account = account or (yield GetAccountKey(policy.deadline))
        key = (base_url, account, file.digest)
        create = partial(_upload, file, policy)
        ids[file.digest] = yield from get_or_create(cache, key, create, deadline=policy.deadline)
    return ids
