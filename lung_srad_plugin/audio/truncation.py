"""Finding audio files that were cut off: libsndfile reads what is left of them without a word."""

import os
import struct
from typing import BinaryIO

# Written by programs that stream and cannot return to fill in the size.
_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)
_PAGE_HEADER = 27  # bytes of an Ogg page before its table of segments
_LARGEST_PAGE = 65_307
_LAST_PAGE_FLAG = 4


def find_truncation(file: BinaryIO) -> str | None:
    """Return in one sentence how an audio file was cut off; None where it is whole or of a format not known here.

    WAV (RIFF, RIFX, RF64, BW64), W64, AIFF, CAF and AU state the length of their samples in a header; of an Ogg stream
    the last page is marked; m4a and mp4 have a table of contents, which recorders write last. What FLAC lacks shows
    when it is decoded.

    Arguments
    ---------
    file : binary file
        At any position, which is not kept.

    Example
    -------
    >>> import io, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, [0.0] * 1000, 4000, subtype="PCM_16", format="WAV")
    >>> find_truncation(file) is None
    True
    >>> find_truncation(io.BytesIO(file.getvalue()[:-500]))
    'the file lacks 500 bytes of what its header promises: it was cut off'
    """
    size = file.seek(0, os.SEEK_END)
    head = _read_at(file, 0, 40)
    if head[:4] == b"OggS":
        return _find_lost_pages(file, size)
    if head[4:8] == b"ftyp":
        return None if _has_contents(file, size) else "the file ends before its table of contents: it was cut off"
    end = _promised_end(file, head, size)
    if end is None or end <= size:
        return None
    return f"the file lacks {end - size} bytes of what its header promises: it was cut off"


def _promised_end(file, head, size):
    """Return where the samples end by what the header says; None where it does not say."""
    magic, form = head[:4], head[8:12]
    if magic in (b"RIFF", b"RIFX", b"RF64", b"BW64") and form == b"WAVE":
        return _end_in_chunks(file, size, "data", ">" if magic == b"RIFX" else "<")
    if magic == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _end_in_chunks(file, size, "SSND", ">")
    if head[:16] == _w64_identifier(b"riff") and head[24:40] == _w64_identifier(b"wave"):
        return _end_in_w64(file, size)
    if magic == b"caff":
        return _end_in_caf(file, size)
    if magic in (b".snd", b"dns.") and len(head) >= 12:
        offset, length = struct.unpack(">II" if magic == b".snd" else "<II", head[4:12])
        return None if length in _UNKNOWN_SIZES else offset + length
    return None


def _end_in_chunks(file, size, wanted, order):
    """RIFF and AIFF: chunks of a name of four letters, a length and so many bytes, padded to an even number."""
    position, long_length = 12, None
    while position + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", _read_at(file, position, 8))
        if name == b"ds64":  # of RF64, whose other lengths have too few bits
            content = _read_at(file, position + 8, 16)
            long_length = struct.unpack("<QQ", content)[1] if len(content) == 16 else None
        if name == wanted.encode():
            if length == 0xFFFFFFFF and long_length is not None:
                length = long_length
            return None if length in _UNKNOWN_SIZES else position + 8 + length
        position += 8 + length + length % 2
    return None


def _end_in_w64(file, size):
    """Sony Wave64: chunks of a name of 16 bytes and a length that counts both, padded to a multiple of 8."""
    position = 40
    while position + 24 <= size:
        name, length = struct.unpack("<16sQ", _read_at(file, position, 24))
        if name == _w64_identifier(b"data"):
            return position + length
        position += max(24, length + -length % 8)
    return None


def _end_in_caf(file, size):
    """Apple's Core Audio Format: chunks of a name of four letters and a length of 64 bits, -1 where it is open."""
    position = 8
    while position + 12 <= size:
        name, length = struct.unpack(">4sq", _read_at(file, position, 12))
        if length < 0:
            return None
        if name == b"data":
            return position + 12 + length
        position += 12 + length
    return None


def _has_contents(file, size):
    """Whether an ISO base media file has its box moov; boxes begin with their length, 1 before one of 64 bits."""
    position = 0
    while position + 8 <= size:
        head = _read_at(file, position, 16)
        length, name = struct.unpack(">I4s", head[:8])
        if name == b"moov":
            return True
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: up to the end of the file
            return False
        position += length
    return False


def _w64_identifier(name):
    return name + (b"\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00" if name == b"riff" else
                   b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a")  # fmt: skip


def _find_lost_pages(file, size):
    start = max(0, size - _LARGEST_PAGE - _PAGE_HEADER)
    tail = _read_at(file, start, size - start)
    page = tail[tail.rfind(b"OggS") :]
    segments = page[_PAGE_HEADER : _PAGE_HEADER + page[26]] if len(page) > 26 else b""
    whole = len(page) > 26 and len(segments) == page[26] and len(page) >= _PAGE_HEADER + page[26] + sum(segments)
    if whole and page[5] & _LAST_PAGE_FLAG:
        return None
    return "the file ends before the page that is marked as its last: it was cut off"


def _read_at(file, position, length):
    file.seek(position)
    return file.read(length)
