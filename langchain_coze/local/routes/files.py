"""Routes of uploaded files (wire 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from langchain_coze.local.routes.request_context import RequestContext, RouteGroup, route
from langchain_coze.local.wire.errors import INVALID_FILE, ApiError
from langchain_coze.local.wire.files import StoredFile, has_right_extension
from langchain_coze.local.wire.ids import generate_id, get_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


MAX_FILE_SIZE = 512 * 1024 * 1024
"""The maximum file size in bytes."""

_PART = "file"
_MAX_FILES = 100


class FileRoutes(RouteGroup):
    """Uploads of any type, if the file name matches the content; stored until the server stops."""

    @route("/v1/files/upload", "POST", "POST")
    async def _upload(self, context: RequestContext) -> Response:
        is_studio = context.profile.is_studio
        name, data = await _read_file(context.request, is_studio=is_studio)
        if not is_studio:  # Studio checks nothing (wire 5.3)
            if not data:
                raise ApiError(4300, "the uploaded file is empty")
            if len(data) > MAX_FILE_SIZE:
                raise ApiError(4302, "the uploaded file is too large")
            if not has_right_extension(name, data):
                raise ApiError(4000, INVALID_FILE)
        stored = StoredFile(generate_id(), name, data, get_time(), context.owner)
        self._state.files[stored.id] = stored
        return context.reply(stored.as_json())

    @route("/v1/files/retrieve", "GET")
    async def _retrieve(self, context: RequestContext) -> Response:
        file_id = context.require_query("file_id")
        stored = self._state.files.get(file_id)
        if stored is None or stored.owner != context.owner:
            raise ApiError(4000, f"file_id {file_id!r} does not exist")
        return context.reply(stored.as_json())


async def _read_file(request: Request, *, is_studio: bool) -> tuple[str, bytes]:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(4000, "the upload must be multipart/form-data")
    try:
        form = await MultiPartParser(
            request.headers, request.stream(), max_files=_MAX_FILES
        ).parse()
    except (MultiPartException, ValueError) as error:  # older ones raise the parser's error
        raise ApiError(4304, f"the form cannot be read: {error}") from None
    try:
        files = [part for part in form.getlist(_PART) if isinstance(part, UploadFile)]
        if not files and is_studio:
            raise ApiError(104000006, "upload file（open）can't find file")
        if not files:
            raise ApiError(4300, f"there is no file in the part {_PART!r}")
        if len(files) > 1:
            raise ApiError(4301, "only one file can be uploaded at a time")
        return files[0].filename or "", await files[0].read()
    finally:
        await form.close()
