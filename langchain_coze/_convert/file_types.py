"""Detect the type of a file from its content, because Coze checks its name against it. Pure.

Coze rejects a file whose extension does not match its bytes, with code 4000 (wire section 5.3). A
JPEG that a phone has named `.png`, or that has no name, is therefore uploaded as `.jpg`.
"""

from __future__ import annotations

import re

# Patterns for the first bytes: the MIME type, and the matching extensions, the usual one first.
# A text that starts with "BM" or "ID3" must not match.
_SIGNATURES = {
    rb"\x89PNG\r\n\x1a\n": "image/png .png",
    rb"\xff\xd8\xff": "image/jpeg .jpg .jpeg .jpg2",
    rb"GIF8[79]a": "image/gif .gif",
    rb"BM.{4}\0\0\0\0": "image/bmp .bmp",
    rb"II\*\0|MM\0\*": "image/tiff .tiff .tif",
    rb"\x00\x00\x01\x00": "image/x-icon .ico",
    rb"RIFF.{4}WEBP": "image/webp .webp",
    rb"RIFF.{4}WAVE": "audio/wav .wav",
    rb"RIFF.{4}AVI ": "video/x-msvideo .avi",
    rb".{4}ftyp(heic|mif1)": "image/heic .heic .heif",
    rb".{4}ftypavif": "image/avif .avif",
    rb".{4}ftypM4A ": "audio/mp4 .m4a",
    rb".{4}ftypqt  ": "video/quicktime .mov",
    rb".{4}ftyp": "video/mp4 .mp4 .m4v .3gp .3gpp .m4a .mov",
    rb"%PDF-": "application/pdf .pdf",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "application/msword .doc .xls .ppt",
    rb"Rar!\x1a\x07": "application/vnd.rar .rar",
    rb"7z\xbc\xaf\x27\x1c": "application/x-7z-compressed .7z",
    rb"\x1f\x8b": "application/gzip .gz .gzip",
    rb"BZh[1-9]1AY&SY": "application/x-bzip2 .bz2",
    rb"ID3[\x02-\x04]|\xff[\xfb\xf3]": "audio/mpeg .mp3",
    rb"\xff[\xf1\xf9]": "audio/aac .aac",
    rb"fLaC\0": "audio/flac .flac",
    rb"OggS\0": "audio/ogg .ogg",
    rb"MThd\0": "audio/midi .midi .mid",
    rb"\x30\x26\xb2\x75": "video/x-ms-wmv .wmv .wma",
    rb"FLV\x01": "video/x-flv .flv",
    rb"\x1a\x45\xdf\xa3": "video/x-matroska .mkv .webm",
    rb"PK\x03\x04": "application/zip .zip .docx .xlsx .pptx .numbers",
}
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OFFICE_TYPES = {  # by a directory in the archive
    b"word/": f"{_OFFICE}wordprocessingml.document .docx",
    b"xl/": f"{_OFFICE}spreadsheetml.sheet .xlsx",
    b"ppt/": f"{_OFFICE}presentationml.presentation .pptx",
}


def detect_file_type(data: bytes) -> list[str]:
    """Return the MIME type and the extensions of a file with a known signature, or an empty list.

    The first extension is the usual one.
    """
    if data.startswith(b"PK\3\4") and b"[Content_Types].xml" in data:
        for folder, office_type in _OFFICE_TYPES.items():
            if folder in data:
                return office_type.split()
    found = (kind for start, kind in _SIGNATURES.items() if re.match(start, data, re.DOTALL))
    return next(found, "").split()


def detect_image_type(data: bytes) -> list[str]:
    """Return the type of an image as `detect_file_type` does; empty for other data."""
    if data[:64].lstrip().startswith((b"<svg", b"<?xml")):
        return ["image/svg+xml", ".svg"]
    types = detect_file_type(data.lstrip() if data[:1].isspace() else data)
    return types if types and types[0].startswith("image/") else []


def is_text(data: bytes) -> bool:
    """Return whether data is plain text in UTF-8."""
    try:
        return "\0" not in data.decode("utf-8")
    except ValueError:
        return False
