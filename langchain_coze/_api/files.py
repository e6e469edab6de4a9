"""File uploads: each file is sent once and its id is cached (wire section 5.3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_coze._api.effects import Flow, GetAccountKey, Request, Upload
from langchain_coze._api.models import UploadedFile
from langchain_coze._api.replies import collect_error_context, read_object
from langchain_coze._api.retry import RetryPolicy, send_with_retry
from langchain_coze._api.singleflight import TTLCache, get_or_create
from langchain_coze.errors import CozeError, CozeServerError, bilingual_hint

if TYPE_CHECKING:
    from collections.abc import Iterable

_WRONG_EXTENSION = "file content or filename is invalid"
_WRONG_EXTENSION_HINT = bilingual_hint(
    "Coze checks that the extension of the name matches the content, and takes common documents, "
    "images, audio, video and archives. Give the file a name with the right extension: "
    'filename="report.pdf" in its content block.',
    "扣子会检查文件名的扩展名与内容是否一致，并只接受常见的文档、图片、音频、视频和压缩包。"
    '请为文件指定正确的扩展名：在内容块中设置 filename="report.pdf"。',
)
_CACHE_SECONDS = 24 * 3600.0  # well below the three months that Coze keeps a file


def upload_file(file: Upload, policy: RetryPolicy) -> Flow[str]:
    """Upload a file and return its id, valid for this account for three months (wire 5.3).

    Args:
        file: The file.
        policy: The retry policy.

    Raises:
        CozeInvalidRequestError: Coze rejected the file (4300 to 4304).
        CozeError: Any other error.
    """
    request = Request(method="POST", path="/v1/files/upload", file=file)
    try:
        reply = yield from send_with_retry(request, policy)
    except CozeError as error:
        context: dict[str, Any] = {"may_have_started": False}  # no turn and no run
        if _WRONG_EXTENSION in error.message:
            context["hint"] = _WRONG_EXTENSION_HINT
            context["message"] = f"{file.name!r}: {error.message}"
        raise error.with_context(**context) from error.__cause__
    file_id = UploadedFile.model_validate(read_object(reply)).id
    if not file_id:
        raise CozeServerError(
            "Coze took the file but gave no id for it.", **collect_error_context(reply)
        )
    return file_id


def upload_all(
    files: Iterable[Upload], cache: TTLCache, base_url: str, policy: RetryPolicy
) -> Flow[dict[str, str]]:
    """Upload files, each one once per account, and return their ids by digest.

    Args:
        files: The files.
        cache: The ids of files uploaded before.
        base_url: The server.
        policy: The retry policy of each request.

    Raises:
        CozeError: Coze reported an error or could not be reached.
    """
    ids: dict[str, str] = {}
    account = ""
    for file in files:
        account = account or (yield GetAccountKey())
        key = (base_url, account, file.digest)
        create = partial(_upload, file, policy)
        ids[file.digest] = yield from get_or_create(cache, key, create, deadline=policy.deadline)
    return ids


def _upload(file: Upload, policy: RetryPolicy) -> Flow[tuple[str, float]]:
    return (yield from upload_file(file, policy)), _CACHE_SECONDS
