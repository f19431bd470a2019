"""Sound from a pipe: raw samples, or a WAV that is still being written."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from lung_srad_plugin.errors import LungSRADError

BLOCK_SECONDS = 0.1  # of sound that is taken at once, from a microphone too
# Raw samples by the names that recording programs use; full scale, and what is silence.
ENCODINGS = {
    "u8": ("u1", 128.0, 128.0),
    "s16le": ("<i2", 2.0**15, 0.0),
    "s32le": ("<i4", 2.0**31, 0.0),
    "f32le": ("<f4", 1.0, 0.0),
}
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Who streams does not know the length of the samples and states 0, or one of about 2 or 4 GiB.
_UNKNOWN_LENGTH = 0x7F000000
_WAV = {(_PCM, 8): "u8", (_PCM, 16): "s16le", (_PCM, 32): "s32le", (_FLOAT, 32): "f32le"}


@dataclass(frozen=True)
class PipeFormat:
    """How the samples of a pipe are written.

    Arguments
    ---------
    rate : int
        In Hz.
    channels : int
    encoding : str
        A key of ``ENCODINGS``.
    """

    rate: int
    channels: int = 1
    encoding: str = "s16le"


def open_pipe(file: BinaryIO, raw: PipeFormat | None, name: str) -> tuple[PipeFormat, Iterator[np.ndarray]]:
    """Return the format of a pipe, and its blocks (samples, channels), float32 with full scale at 1, as they come.

    Arguments
    ---------
    file : binary file
        Read forward only.
    raw : PipeFormat or None
        Of raw samples; None for a WAV, whose header says it.
    name : str
        What messages call it.

    Raises
    ------
    LungSRADError
        Where it is neither, or a WAV whose samples are not whole numbers of 8, 16 or 32 bits or floats of 32.

    Example
    -------
    >>> import io
    >>> format, blocks = open_pipe(io.BytesIO(b"\\x00\\x40\\x00\\xc0"), PipeFormat(rate=4000), "-")
    >>> next(blocks).tolist()
    [[0.5], [-0.5]]
    """
    head = _read(file, 4)
    if head == b"RIFF":
        found, length = _read_header(file, name)
        if raw is not None and raw.rate != found.rate:
            raise LungSRADError(f"{name}: --rate {raw.rate}, but the WAV has {found.rate} Hz; leave --rate out")
        return found, _blocks(file, b"", found, length)
    if raw is None:
        raise LungSRADError(
            f"{name}: {'is empty' if not head else 'is no WAV'}; expected a WAV, or raw samples with their --rate"
        )
    return raw, _blocks(file, head, raw)


def _read(file, count):
    """Return so many bytes, fewer only at the end: a pipe may give less at a time."""
    parts, left = [], count
    while left and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _read_header(file, name):
    if _read(file, 8)[4:] != b"WAVE":
        raise LungSRADError(f"{name}: begins as RIFF but is no WAV")
    found = None
    while len(head := _read(file, 8)) == 8:
        chunk, length = struct.unpack("<4sI", head)
        if chunk == b"data":
            if found is None:
                break
            return found, (length if 0 < length < _UNKNOWN_LENGTH else None)
        content = _read(file, length + length % 2)
        if chunk == b"fmt " and len(content) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            if kind == _EXTENSIBLE and len(content) >= 26:
                kind = struct.unpack("<H", content[24:26])[0]
            if (kind, bits) not in _WAV or not channels or not rate:
                raise LungSRADError(
                    f"{name}: a WAV of kind {kind} with {bits} bits, {channels} channels and {rate} Hz; expected whole "
                    "numbers of 8, 16 or 32 bits, or floats of 32 bits"
                )
            found = PipeFormat(rate, channels, _WAV[kind, bits])
    raise LungSRADError(f"{name}: the header of the WAV breaks off")


def _blocks(file, begun, format, length=None):
    """Yield the samples of so many bytes, of all where it is None; behind them a WAV may have chunks of text."""
    kind, scale, zero = ENCODINGS[format.encoding]
    frame = np.dtype(kind).itemsize * format.channels
    size = max(1, round(BLOCK_SECONDS * format.rate)) * frame
    while True:
        content = begun + _read(file, (size if length is None else min(size, length)) - len(begun))
        begun = b""
        length = None if length is None else length - len(content)
        whole = len(content) // frame * frame
        if not whole:
            return
        samples = np.frombuffer(content[:whole], dtype=kind).astype(np.float32)
        yield (samples.reshape(-1, format.channels) - np.float32(zero)) / np.float32(scale)
