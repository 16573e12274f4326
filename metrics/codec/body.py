"""The body of a payload: blocks of bytes through zstd, and the small numbers of its head."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import zstandard

_LEVEL = 1
_MAGIC = b"\x28\xb5\x2f\xfd"  # every zstd frame begins with it: not worth storing
_MAX_BODY_BYTES = 1 << 28
_OWN_BLOCK_BYTES = (
    512  # blocks shorter than this gain less from their own statistics than they cost
)
_INT64_END = 1 << 63
_INT64_BYTES = 8


class _Contexts(threading.local):
    """A compressor and a decompressor of each thread: costly to make, not to be shared."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def compress(parts: Sequence[bytes]) -> bytes:
    """The parts, joined, as one checksummed zstd frame without its magic number.

    Long parts become blocks of their own, with their own Huffman tables: the bytes of one plane
    are distributed alike, the next plane's are not.
    """
    size = sum(map(len, parts))
    if size > _MAX_BODY_BYTES:
        raise ValueError(f"a payload's body has at most {_MAX_BODY_BYTES} bytes, not {size}")
    stream = _contexts.compressor.compressobj(size=size)
    out: list[bytes] = []
    pending = 0
    for part in parts:
        if pending and len(part) >= _OWN_BLOCK_BYTES:
            out.append(stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
            pending = 0
        out.append(stream.compress(part))
        pending += len(part)
    out.append(stream.flush())
    return b"".join(out)[len(_MAGIC) :]


def decompress(data: memoryview) -> bytes:
    """The inverse of compress(). Raises ValueError when the bytes are damaged, cut or too many."""
    frame = b"".join((_MAGIC, data))
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= _MAX_BODY_BYTES:
            raise ValueError(f"a damaged payload: it claims a body of {size} bytes")
        return _contexts.decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"a damaged payload of {len(data) + 1} bytes: {error}") from None


def numbers(*found: int) -> bytes:
    """An even number of int64: their sizes, two to a byte, then they, little-endian."""
    spelled = [
        number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True) if number else b""
        for number in found
    ]
    sizes = [len(word) for word in spelled]
    pairs = zip(sizes[::2], sizes[1::2], strict=True)
    return bytes([low | high << 4 for low, high in pairs]) + b"".join(spelled)


def numbers_at(body: bytes, at: int, count: int) -> tuple[list[int], int]:
    """What numbers() wrote, ``count`` of them, and where they end.

    Raises ValueError where they are damaged, IndexError at the end of the body.
    """
    begin = at + count // 2
    found = []
    for place in range(at, begin):
        sizes = body[place]
        for size in (sizes & 0xF, sizes >> 4):
            if not size:
                found.append(0)
                continue
            number = int.from_bytes(body[begin : begin + size], "little", signed=True)
            if size > _INT64_BYTES and not -_INT64_END <= number < _INT64_END:
                raise ValueError("a damaged payload: a number in its head is too large")
            found.append(number)
            begin += size
    return found, begin
