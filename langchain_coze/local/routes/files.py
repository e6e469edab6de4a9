"""Routes of uploaded files (wire 5.3)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from langchain_coze.local.routes.body import bounded_parts
from langchain_coze.local.routes.context import Call, RouteEntry, Site, ok
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.files import StoredFile
from langchain_coze.local.wire.ids import new_id

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST_FILE = 512 * 1024 * 1024
"""Bytes of the largest file that is taken."""

_PART = "file"
_OVERHEAD = 64 * 1024  # what the form around a file may take
_MOST_FILES = 100
_TOO_LARGE = "the uploaded file is too large"


class FileRoutes:
    """Uploads; they are kept for the life of the server.

    The API's page lists the types that it takes, but its own sample uploads one that is not on the
    list (`.jpeg`): no type is refused here.
    """

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v1/files/upload", ["POST"], self._upload),
            RouteEntry("/v1/files/retrieve", ["GET"], self._retrieve),
        ]

    async def _upload(self, call: Call) -> Response:
        name, data = await _only_file(call.request)
        if not data:
            raise Problem(4300, "the uploaded file is empty")
        if len(data) > LARGEST_FILE:
            raise Problem(4302, _TOO_LARGE)
        stored = StoredFile(new_id(), name, data, int(time.time()), call.owner)
        self._site.store.files[stored.id] = stored
        return ok(stored.as_json(), call)

    async def _retrieve(self, call: Call) -> Response:
        file_id = call.required("file_id")
        stored = self._site.store.files.get(file_id)
        if stored is None or stored.owner != call.owner:
            raise Problem(4000, f"file_id {file_id!r} does not exist")
        return ok(stored.as_json(), call)


async def _only_file(request: Request) -> tuple[str, bytes]:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem(4000, "a file is uploaded as multipart/form-data")
    parts = bounded_parts(request, LARGEST_FILE + _OVERHEAD, Problem(4302, _TOO_LARGE))
    try:
        parser = MultiPartParser(request.headers, parts, max_files=_MOST_FILES)
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:  # older versions pass the parser's own on
        raise Problem(4304, f"the form cannot be read: {error}") from None
    try:
        files = [part for part in form.getlist(_PART) if isinstance(part, UploadFile)]
        if not files:
            raise Problem(4300, f"there is no file in the part {_PART!r}")
        if len(files) > 1:
            raise Problem(4301, "only one file can be uploaded at a time")
        return files[0].filename or "", await files[0].read()
    finally:
        await form.close()
