"""The bytes of the real server code of coze.site, from `tests/recordings/site`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "recordings" / "site"


def read_site_body(name: str) -> bytes:
    """Return the body of a recorded reply."""
    text = (_FOLDER / f"{name}.txt").read_bytes()
    _, _, rest = text.partition(b"## RESPONSE BODY")
    head, _, body = rest.partition(b"\n")
    size = head.strip(b" ()").split(b" ")[0]
    return body[: int(size)] if size.isdigit() else body.partition(b"\n## END")[0]


def read_site_reply(name: str) -> bytes:
    """Return the untouched bytes of a recorded reply: its head and its chunks."""
    raw = _FOLDER / f"{name}.raw"
    if raw.exists():
        return raw.read_bytes()
    _, _, rest = (_FOLDER / f"{name}.txt").read_bytes().partition(b"## RESPONSE HEAD\n")
    head, _, _ = rest.partition(b"\n\n## RESPONSE BODY")
    lines = [line.rstrip(b"\r") for line in head.split(b"\n")]
    kept = [line for line in lines if not line.lower().startswith(b"transfer-encoding")]
    return b"\r\n".join(kept) + b"\r\n\r\n" + read_site_body(name)


def read_site_json(name: str) -> Any:
    """Return the parsed body of a recorded reply."""
    return json.loads(read_site_body(name))
