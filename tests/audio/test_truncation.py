"""Finding files that were cut off, in each format that says where it ends."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin.audio.truncation import find_truncation

SAMPLES = np.random.default_rng(0).normal(0, 0.1, 40001).clip(-0.9, 0.9)
FORMATS = {
    "RIFF": {"format": "WAV"},
    "RIFX": {"format": "WAV", "endian": "BIG"},
    "WAVEX": {"format": "WAVEX", "subtype": "PCM_24"},
    "RF64": {"format": "RF64"},
    "W64": {"format": "W64"},
    "AIFF": {"format": "AIFF"},
    "AIFC": {"format": "AIFF", "subtype": "FLOAT"},
    "CAF": {"format": "CAF"},
    "AU": {"format": "AU"},
    "AU, little-endian": {"format": "AU", "endian": "LITTLE"},
    "OGG": {"format": "OGG"},
    "FLAC": {"format": "FLAC"},
}


def encode(**options):
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, 8000, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_whole(kind):
    assert find_truncation(io.BytesIO(encode(**FORMATS[kind]))) is None


@pytest.mark.parametrize("share", [0.999, 0.5, 0.1])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("OGG", "FLAC")])
def test_what_is_missing_is_counted(kind, share):
    content = encode(**FORMATS[kind])
    kept = round(share * len(content))
    message = find_truncation(io.BytesIO(content[:kept]))
    # Some writers put a chunk behind the samples, whose bytes are missing too.
    missing = int(message.split()[3])
    assert 0 <= len(content) - kept - missing <= 100


@pytest.mark.parametrize("lost", [1, 1000, 5000])
def test_an_ogg_stream_without_its_last_page(lost):
    assert "marked as its last" in find_truncation(io.BytesIO(encode(format="OGG")[:-lost]))


def test_a_size_that_a_streaming_program_left_open_is_no_truncation():
    content = bytearray(encode(format="AU"))
    content[8:12] = b"\xff\xff\xff\xff"
    assert find_truncation(io.BytesIO(content[:5000])) is None


@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damaged_headers_are_read_without_an_error(kind, data):
    content = bytearray(encode(**FORMATS[kind])[:3000])
    for position in data.draw(st.lists(st.integers(0, 120), max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, 3000))
    message = find_truncation(io.BytesIO(content[:length]))
    assert message is None or "cut off" in message
