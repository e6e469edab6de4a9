"""Content blocks of every form, converted for Coze; without a server."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.messages.content import (
    create_audio_block,
    create_file_block,
    create_image_block,
    create_plaintext_block,
)

from langchain_coze._convert import attachments
from langchain_coze._convert.attachments import Attachment, make_traceable, parse_block
from langchain_coze.errors import CozeInvalidRequestError

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
TEXT = base64.b64encode(PNG).decode()
URL = "https://example.com/tea.png"


@pytest.mark.parametrize(
    "block",
    [
        create_image_block(url=URL),
        {"type": "image", "source_type": "url", "url": URL},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        {"type": "image_url", "image_url": URL},
        {"type": "image", "source": {"type": "url", "url": URL}},
    ],
)
def test_a_link_is_passed_on(block: Any) -> None:
    found = parse_block(block)
    assert isinstance(found, Attachment)
    assert found.to_item({}) == {"type": "image", "file_url": URL}


@pytest.mark.parametrize(
    "block",
    [
        create_image_block(base64=TEXT, mime_type="image/png"),
        create_image_block(base64=TEXT),
        {"type": "image", "source_type": "base64", "data": TEXT, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{TEXT}"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{TEXT}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}},
        {"type": "image", "base64": PNG},
        {"type": "image", "data": bytearray(PNG)},
        {"type": "image", "base64": TEXT.rstrip("=") + "\n"},
        {"type": "image", "base64": base64.urlsafe_b64encode(PNG).decode()},
    ],
)
def test_bytes_are_read_in_every_form(block: Any) -> None:
    found = parse_block(block)
    assert isinstance(found, Attachment)
    assert (found.data, found.name, found.mime_type) == (PNG, "image.png", "image/png")
    assert found.to_item({found.upload.digest: "77"}) == {"type": "image", "file_id": "77"}


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        (create_image_block(file_id="77"), "image"),
        (create_file_block(file_id="77"), "file"),
        (create_audio_block(file_id="77"), "audio"),
        ({"type": "file", "source_type": "id", "id": "77"}, "file"),
        ({"type": "file", "file": {"file_id": "77"}}, "file"),
        ({"type": "document", "source": {"type": "file", "file_id": "77"}}, "file"),
    ],
)
def test_an_uploaded_file_is_named_by_its_id(block: Any, kind: str) -> None:
    found = parse_block(block)
    assert isinstance(found, Attachment)
    assert found.to_item({}) == {"type": kind, "file_id": "77"}


def test_files_get_names_and_types() -> None:
    pdf = base64.b64encode(b"%PDF-1.7").decode()
    found = [
        parse_block(create_file_block(base64=pdf, mime_type="application/pdf")),
        parse_block(create_file_block(base64=pdf, mime_type="application/pdf", filename="a.pdf")),
        parse_block(
            {
                "type": "file",
                "file": {"file_data": f"data:application/pdf;base64,{pdf}", "filename": "b.pdf"},
            }
        ),
        parse_block({"type": "input_audio", "input_audio": {"data": b"\0\1", "format": "wav"}}),
        parse_block({"type": "video", "base64": b"\0\1", "mime_type": "video/mp4"}),
        parse_block({"type": "file", "base64": pdf}),
        parse_block({"type": "file", "base64": b"\0\1"}),
        parse_block({"type": "file", "base64": "名称,城市\n".encode()}),
        parse_block({"type": "file", "base64": b"BM, a text", "filename": "notes.md"}),
    ]
    files = [(f.kind, f.name, f.mime_type) for f in found if isinstance(f, Attachment)]
    assert files == [
        ("file", "file.pdf", "application/pdf"),
        ("file", "a.pdf", "application/pdf"),
        ("file", "b.pdf", "application/pdf"),
        ("audio", "audio.wav", "audio/wav"),
        ("file", "file.mp4", "video/mp4"),
        ("file", "file.pdf", "application/pdf"),
        ("file", "file.bin", "application/octet-stream"),
        ("file", "file.txt", "text/plain"),
        ("file", "notes.md", "application/octet-stream"),
    ]


ZIP = b"PK\3\4....[Content_Types].xml"


@pytest.mark.parametrize(
    ("data", "name", "corrected"),
    [
        (b"\xff\xd8\xff\xe0", "photo.png", "photo.jpg"),
        (b"\xff\xd8\xff\xe0", "PHOTO.JPEG", "PHOTO.JPEG"),
        (b"\xff\xd8\xff\xe0", "photo", "photo.jpg"),
        (PNG, "a.b.jpg", "a.b.png"),
        (b"GIF89a", "x.png", "x.gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "x.jpg", "x.webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "x.mp3", "x.wav"),
        (b"RIFF\0\0\0\0????", "x.mp3", "x.mp3"),
        (b"\0\0\0\x18ftypM4A ", "x.mp3", "x.m4a"),
        (b"\0\0\0\x18ftypisom", "x.m4v", "x.m4v"),
        (b"ID3\3\0", "voice.wav", "voice.mp3"),
        (b"OggS\0", "voice.wav", "voice.ogg"),
        (b"%PDF-1.7", "report.doc", "report.pdf"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "table.xls", "table.xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "table.xlsx", "table.doc"),
        (ZIP + b"word/document.xml", "a.zip", "a.docx"),
        (ZIP + b"xl/workbook.xml", "a.docx", "a.xlsx"),
        (ZIP + b"ppt/presentation.xml", "a", "a.pptx"),
        (b"PK\3\4....", "a.numbers", "a.numbers"),
        (b"PK\3\4....", "a.txt", "a.zip"),
        (b"ID3, a text", "notes.csv", "notes.csv"),
        (b"BM" + bytes(30), "x.png", "x.bmp"),
        (b"print(1)", "main.py", "main.py"),
    ],
)
def test_the_extension_of_a_file_follows_its_content(
    data: bytes, name: str, corrected: str
) -> None:
    found = parse_block({"type": "file", "base64": data, "filename": name})
    assert isinstance(found, Attachment)
    assert found.name == corrected


def test_a_plain_text_block_stays_text() -> None:
    assert parse_block("Hi") == "Hi"
    assert parse_block({"type": "text", "text": "Hi"}) == "Hi"
    assert parse_block(create_plaintext_block("A page")) == "A page"
    assert parse_block({"type": "file", "source_type": "text", "text": "A page"}) == "A page"


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    ],
)
def test_the_type_of_an_image_comes_from_its_bytes(data: bytes, mime_type: str) -> None:
    found = parse_block({"type": "image", "base64": data, "mime_type": "image/png"})
    assert isinstance(found, Attachment)
    assert found.mime_type == mime_type


@pytest.mark.parametrize(
    ("block", "code", "message"),
    [
        ({"type": "image", "base64": b"Hello"}, 4303, "declared as an image"),
        ({"type": "image", "base64": b""}, 4300, "empty"),
        ({"type": "image", "base64": ""}, 4300, "empty"),
        ({"type": "image", "base64": "%%%"}, None, "not valid base64"),
        ({"type": "image", "base64": 7}, None, "not valid base64"),
        ({"type": "image", "url": "file:///tea.png"}, None, "cannot fetch a file from 'file:"),
        ({"type": "image", "url": "tea.png"}, None, "cannot fetch a file"),
        ({"type": "image"}, None, "has no link, no bytes"),
        ({"type": "tool_use", "id": "1"}, None, "'tool_use', which Coze does not accept"),
        ({"no": "type"}, None, "'None', which Coze does not accept"),
        (7, None, "'int', which Coze does not accept"),
    ],
)
def test_invalid_blocks_are_rejected_with_a_reason(
    block: Any, code: int | None, message: str
) -> None:
    with pytest.raises(CozeInvalidRequestError, match=message) as caught:
        parse_block(block)
    assert caught.value.code == code
    assert "提示：" in str(caught.value)


def test_an_oversized_file_is_rejected_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attachments, "MAX_FILE_SIZE", 1000)
    for data in (b"x" * 1003, "!" * 1400):  # not base64 either: it is not decoded
        with pytest.raises(CozeInvalidRequestError, match="at most 512 MB") as caught:
            parse_block({"type": "file", "base64": data})
        assert caught.value.code == 4302
    assert parse_block({"type": "file", "base64": b"x" * 1000})


def test_only_messages_with_such_files_are_changed_for_traces() -> None:
    plain, listed = HumanMessage("Hi"), HumanMessage(["Hi"])
    typed = HumanMessage([{"type": "image", "base64": TEXT, "mime_type": "image/png"}])
    linked = HumanMessage([{"type": "image", "url": URL}])
    raw = HumanMessage([{"type": "image", "base64": PNG}, {"type": "audio", "data": b"RIFF"}])
    given: list[Any] = [plain, listed, typed, linked, ("user", "Hi"), raw]
    *same, changed = make_traceable(given)
    assert all(one is other for one, other in zip(same, given, strict=False))
    assert changed.content == [
        {"type": "image", "base64": TEXT, "mime_type": "image/png"},
        {"type": "audio", "data": base64.b64encode(b"RIFF").decode(), "mime_type": "audio/wav"},
    ]


def test_the_same_bytes_have_the_same_digest() -> None:
    one, other = (Attachment("file", data=data, name="a") for data in (b"1", b"2"))
    assert one.upload.digest == Attachment("image", data=b"1", name="a").upload.digest
    assert one.upload.digest != other.upload.digest
    assert one.upload.digest != one._replace(name="b").upload.digest
