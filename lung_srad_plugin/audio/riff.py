"""Finding WAV files that were cut off: libsndfile reads what is left of them without a word."""

import struct
from pathlib import Path

# Written by programs that stream and cannot go back to fill in the size.
_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)


def missing_bytes(path):
    """Return how many bytes a WAV file lacks of what its header promises; 0 for other formats and whole files.

    Example
    -------
    >>> import soundfile
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, [0.0] * 1000, 4000, subtype="PCM_16")
    >>> _ = path.write_bytes(path.read_bytes()[:-500])
    >>> missing_bytes(path)
    500
    """
    with Path(path).open("rb") as file:
        header = file.read(12)
        if len(header) < 12 or header[:4] != b"RIFF" or header[8:] != b"WAVE":
            return 0
        size = file.seek(0, 2)
        place = 12
        while place + 8 <= size:
            file.seek(place)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                return 0 if length in _UNKNOWN_SIZES else max(0, place + 8 + length - size)
            place += 8 + length + length % 2
    return 0
