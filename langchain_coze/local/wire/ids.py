"""Times, and ids in Coze's format: decimal 64-bit numbers, as strings of 19 digits."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import time

_counter = itertools.count(
    7_500_000_000_000_000_000 + (time.time_ns() // 1_000_000) % 10**14 * 1000
)


def generate_id() -> str:
    """Return a new id that is unique in this process and too large for a double."""
    return str(next(_counter))


def derive_id(*parts: str) -> str:
    """Return the 19-digit id of an object, always the same for the same names."""
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).digest()
    return str(7_000_000_000_000_000_000 + int.from_bytes(digest[:8]) % 10**18)


def generate_logid() -> str:
    """Return a log id in the format of Coze's gateway: local time and 20 hexadecimal digits."""
    return time.strftime("%Y%m%d%H%M%S") + secrets.token_hex(10).upper()


def get_time() -> int:
    """Return the Unix time in seconds."""
    return int(time.time())
