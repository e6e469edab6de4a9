"""Detect the type of a file from its content, because Coze checks its name against it. Pure.

Coze rejects a file whose extension does not match its bytes, with code 4000 (wire section 5.3). So
a JPEG that a phone has named `.png`, or that has no name at all, is uploaded as `.jpg`.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import NamedTuple


class FileType(NamedTuple):
    """A type of file.

    Attributes:
        mime_type: The MIME type.
        extensions: The extensions that match it; the first one is the usual one.
    """

    mime_type: str
    extensions: tuple[str, ...]

    def correct_name(self, name: str) -> str:
        """Return a file name with an extension that matches this type."""
        path = PurePath(name)
        if path.suffix.lower() in self.extensions:
            return name
        return (path.stem if path.suffix else name) + self.extensions[0]


_JPEG = FileType("image/jpeg", (".jpg", ".jpeg", ".jpg2"))
_OFFICE = FileType("application/msword", (".doc", ".xls", ".ppt"))
_ZIP = FileType("application/zip", (".zip", ".docx", ".xlsx", ".pptx", ".numbers"))

# patterns for the first bytes; a text that starts with "BM" or "ID3" must not match
_SIGNATURES: tuple[tuple[bytes, FileType], ...] = (
    (rb"\x89PNG\r\n\x1a\n", FileType("image/png", (".png",))),
    (rb"\xff\xd8\xff", _JPEG),
    (rb"GIF8[79]a", FileType("image/gif", (".gif",))),
    (rb"BM.{4}\0\0\0\0", FileType("image/bmp", (".bmp",))),
    (rb"II\*\0|MM\0\*", FileType("image/tiff", (".tiff", ".tif"))),
    (rb"\x00\x00\x01\x00", FileType("image/x-icon", (".ico",))),
    (rb"%PDF-", FileType("application/pdf", (".pdf",))),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (rb"Rar!\x1a\x07", FileType("application/vnd.rar", (".rar",))),
    (rb"7z\xbc\xaf\x27\x1c", FileType("application/x-7z-compressed", (".7z",))),
    (rb"\x1f\x8b", FileType("application/gzip", (".gz", ".gzip"))),
    (rb"BZh[1-9]1AY&SY", FileType("application/x-bzip2", (".bz2",))),
    (rb"ID3[\x02-\x04]|\xff[\xfb\xf3]", FileType("audio/mpeg", (".mp3",))),
    (rb"\xff[\xf1\xf9]", FileType("audio/aac", (".aac",))),
    (rb"fLaC\0", FileType("audio/flac", (".flac",))),
    (rb"OggS\0", FileType("audio/ogg", (".ogg",))),
    (rb"MThd\0", FileType("audio/midi", (".midi", ".mid"))),
    (rb"\x30\x26\xb2\x75", FileType("video/x-ms-wmv", (".wmv", ".wma"))),
    (rb"FLV\x01", FileType("video/x-flv", (".flv",))),
    (rb"\x1a\x45\xdf\xa3", FileType("video/x-matroska", (".mkv", ".webm"))),
)
_RIFF_FORMS = {
    b"WEBP": FileType("image/webp", (".webp",)),
    b"WAVE": FileType("audio/wav", (".wav",)),
    b"AVI ": FileType("video/x-msvideo", (".avi",)),
}
_MP4 = FileType("video/mp4", (".mp4", ".m4v", ".3gp", ".3gpp", ".m4a", ".mov"))
_HEIC = FileType("image/heic", (".heic", ".heif"))
_MP4_BRANDS = {
    b"heic": _HEIC,
    b"mif1": _HEIC,
    b"avif": FileType("image/avif", (".avif",)),
    b"M4A ": FileType("audio/mp4", (".m4a",)),
    b"qt  ": FileType("video/quicktime", (".mov",)),
}
_ZIP_MEMBERS = {
    b"word/": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
    b"xl/": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    b"ppt/": ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx"),
}
_SVG_STARTS = (b"<svg", b"<?xml")
_TEXT = FileType("text/plain", (".txt",))


def detect_file_type(data: bytes) -> FileType | None:
    """Return the type of a file with a known signature, or None."""
    if data.startswith(b"RIFF"):
        return _RIFF_FORMS.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _MP4_BRANDS.get(data[8:12], _MP4)
    if data.startswith(b"PK\3\4"):
        return _detect_zip_type(data)
    return next((kind for pattern, kind in _SIGNATURES if re.match(pattern, data, re.DOTALL)), None)


def detect_image_type(data: bytes) -> FileType | None:
    """Return the type of an image, or None if the data is not a known image format."""
    if data[:64].lstrip().startswith(_SVG_STARTS):
        return FileType("image/svg+xml", (".svg",))
    kind = detect_file_type(data.lstrip() if data[:1].isspace() else data)
    return kind if kind is not None and kind.mime_type.startswith("image/") else None


def detect_text_type(data: bytes) -> FileType | None:
    """Return the type of plain text if the data is text in UTF-8, else None."""
    try:
        text = data.decode("utf-8")
    except ValueError:
        return None
    return None if "\0" in text else _TEXT


def _detect_zip_type(data: bytes) -> FileType:
    for folder, (mime_type, extension) in _ZIP_MEMBERS.items():
        if folder in data and b"[Content_Types].xml" in data:
            return FileType(mime_type, (extension,))
    return _ZIP
