"""The body of a request: its declared type, its compression, its size."""

from __future__ import annotations

import zlib

from django.conf import settings
from django.http import HttpRequest

from metrics.formats.json_walk import too_large
from metrics.refused import Refused

MAX_RATIO = 100  # gzip of real samples is 10 to 30 times smaller
RATIO_APPLIES_FROM_BYTES = 1024 * 1024
KEY_CHARACTERS = 200

_GZIP = 16 + zlib.MAX_WBITS


def check_type(request: HttpRequest) -> bool:
    """Whether the body is compressed. Raises Refused(415) for a type we do not take."""
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    if request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
        got = request.META.get("CONTENT_TYPE") or "none"
        raise Refused(
            415, "Content-Type", f"expected application/json, got {ascii(got[:100])[1:-1]}"
        )
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise Refused(
            415,
            "Content-Encoding",
            f"expected gzip, or no compression, got {ascii(encoding[:100])[1:-1]}",
        )
    return bool(encoding == "gzip")


def idempotency_key(request: HttpRequest) -> str | None:
    """The Idempotency-Key, if one was given. Raises Refused(400)."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not 0 < len(key) <= KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        raise Refused(
            400, "Idempotency-Key", f"expected 1 to {KEY_CHARACTERS} printable ASCII characters"
        )
    return key


def read(request: HttpRequest) -> bytes:
    """The body as it was sent. Raises Refused(413) past the limit, whatever length was said."""
    most_bytes: int = settings.BODY_BYTES
    try:
        body = request.read(most_bytes + 1)
    except OSError:
        raise Refused(400, "body", "the connection ended before the body did") from None
    if len(body) > most_bytes:
        raise too_large(most_bytes)
    return body


def inflate(packed: bytes, most_bytes: int) -> bytes:
    """Unpacks gzip, several members included, in bounded memory. Raises Refused."""
    most = max(RATIO_APPLIES_FROM_BYTES, len(packed) * MAX_RATIO)
    parts: list[bytes] = []
    left = min(most, most_bytes) + 1
    rest = packed
    while rest:
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(rest, left)
        except zlib.error:
            raise Refused(400, "body", "not gzip, though Content-Encoding says so") from None
        parts.append(part)
        left -= len(part)
        if left <= 0:
            break
        if not member.eof:
            raise Refused(400, "body", "the gzip data ends too early")
        rest = member.unused_data
    if left > 0:
        return b"".join(parts)
    if most < most_bytes:
        raise Refused(413, "body", f"expands more than {MAX_RATIO} times: expected real samples")
    raise too_large(most_bytes)
