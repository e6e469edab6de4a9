"""Files that a request refers to: uploaded first, each once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from langchain_coze._api.chats import upload_file
from langchain_coze._api.effects import Flow, GetAccountKey, Upload
from langchain_coze._api.sharing import TTLCache, get_or_create

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_coze._api.effects import RetryPolicy
    from langchain_coze._convert.attachments import Attachment

_CACHE_SECONDS = 24 * 3600.0  # seconds; Coze keeps files for three months

_uploads = TTLCache()


def upload_all(
    files: Iterable[Attachment], base_url: str, policy: RetryPolicy
) -> Flow[dict[str, str]]:
    """Upload the files that have bytes, the same bytes once; return their ids by `digest`.

    Args:
        files: Any files.
        base_url: The server.
        policy: How often to repeat each request.

    Raises:
        CozeError: What Coze reports.
    """
    new = [file for file in files if file.data]
    if not new:
        return {}
    account = yield GetAccountKey()
    ids: dict[str, str] = {}
    for file in new:
        key = (base_url, account, file.digest)
        ids[file.digest] = yield from get_or_create(_uploads, key, partial(_upload, file, policy))
    return ids


def _upload(file: Attachment, policy: RetryPolicy) -> Flow[tuple[str, float]]:
    file_id = yield from upload_file(Upload(file.name, file.data, file.mime_type), policy)
    return file_id, _CACHE_SECONDS
