"""Files that a request refers to: uploaded first, each once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from langchain_coze._api.chats import upload
from langchain_coze._api.effects import Flow, Identify, Upload
from langchain_coze._api.sharing import Shared, shared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_coze._api.effects import RetryPolicy
    from langchain_coze._convert.attachments import Attachment

_KEPT = 24 * 3600.0  # seconds; Coze keeps files for three months

_uploads = Shared()


def uploaded(
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
    account = yield Identify()
    ids: dict[str, str] = {}
    for file in new:
        key = (base_url, account, file.digest)
        ids[file.digest] = yield from shared(_uploads, key, partial(_upload, file, policy))
    return ids


def _upload(file: Attachment, policy: RetryPolicy) -> Flow[tuple[str, float]]:
    file_id = yield from upload(Upload(file.name, file.data, file.mime_type), policy)
    return file_id, _KEPT
