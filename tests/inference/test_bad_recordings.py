"""What is refused or flagged: recordings, cycles, options and batches."""

import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from lung_srad_plugin import LungSoundClassifier, LungSRADError

RATE = 8000


def sound(seconds=3.0, rate=RATE, loudness=0.1):
    return np.random.default_rng(0).normal(0, loudness, round(seconds * rate)).clip(-0.9, 0.9)


def write(path, samples, rate=RATE, subtype=None):
    soundfile.write(path, samples, rate, subtype=subtype)


def with_value(samples, value, index=1000):
    samples = samples.copy()
    samples[index] = value
    return samples


def broken_flac(path):
    write(path.with_suffix(".flac"), sound(60))
    content = path.with_suffix(".flac").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def wrong_header(path):
    write(path, sound())
    path.write_bytes(b"RIFX" + path.read_bytes()[4:30])


# How to make the file, and what the message must contain.
REFUSED = {
    "absent": (lambda path: None, "no such audio file"),
    "folder": (lambda path: path.mkdir(), "no such audio file"),
    "zero bytes": (lambda path: path.touch(), r"it is empty \(0 bytes\); copy it again"),
    "text": (lambda path: path.write_text("0.1 2.3 0 0\n" * 50), "cannot be read as audio"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000)), "cannot be read as audio"),
    "wrong header": (wrong_header, "cannot be read as audio"),
    "header alone": (lambda path: write(path, sound(0.0)), "holds no samples"),
    "broken flac": (broken_flac, "breaks off after|its header promises 60.00 s, but it ends"),
    "not a number": (lambda path: write(path, with_value(sound(), np.nan), subtype="FLOAT"), "NaN .* at 0.125 s"),
    "infinite": (
        lambda path: write(path, with_value(sound(), np.inf, 2000), subtype="FLOAT"),
        "infinite .* at 0.250 s",
    ),
    "silence": (lambda path: write(path, np.zeros(24000)), "silence from beginning to end"),
    "constant": (lambda path: write(path, np.full(24000, 0.25)), "one constant value, 0.25, from beginning to end"),
    "too short": (lambda path: write(path, sound(0.19)), r"lasts 0.1900 s; expected at least 0.2 s"),
    "low rate": (lambda path: write(path, sound(rate=2000), 2000), "2000 samples a second; .* at least 4000"),
    "odd rate": (lambda path: write(path, sound(1, 44099), 44099), "44099 Hz has no common measure .* ffmpeg"),
    "channels that cancel": (
        lambda path: write(path, np.stack([sound(), -sound()], 1)),
        "the channels cancel each other, their average has .* take one of them alone",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_recording_is_refused_with_its_name_and_a_reason(classifier, tmp_path, kind):
    make, message = REFUSED[kind]
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(LungSRADError, match=message) as caught:
        classifier.classify_file(path)
    assert str(path) in str(caught.value)


def clipped():
    return (8 * sound()).clip(-1, 1)


def cut_off(path, **options):
    soundfile.write(path, sound(4), RATE, **options)
    path.write_bytes(path.read_bytes()[:-RATE])


def streamed(path):
    write(path, sound())
    content = bytearray(path.read_bytes())
    size = content.index(b"data") + 4
    content[size : size + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)


silent_part = np.concatenate([sound(3), np.zeros(2 * RATE), sound(3)])
stuck_part = np.concatenate([sound(3), np.full(2 * RATE, 0.2), sound(3)])
FLAGGED = {
    "clipping": (lambda path: write(path, clipped()), {"clipping"}),
    "quiet": (lambda path: write(path, sound(loudness=2e-4), subtype="FLOAT"), {"quiet"}),
    "offset": (lambda path: write(path, 0.3 + sound()), {"offset"}),
    "silent part": (lambda path: write(path, silent_part), {"silence"}),
    "stuck part": (lambda path: write(path, stuck_part), {"constant"}),
    "cut off": (cut_off, {"truncated"}),
    "cut off Ogg": (lambda path: cut_off(path, format="OGG"), {"truncated"}),
    "cut off AIFF": (lambda path: cut_off(path, format="AIFF"), {"truncated"}),
    "cut off W64": (lambda path: cut_off(path, format="W64"), {"truncated"}),
    "cut off RF64": (lambda path: cut_off(path, format="RF64"), {"truncated"}),
    "cut off AU": (lambda path: cut_off(path, format="AU"), {"truncated"}),
    "cut off RIFX": (lambda path: cut_off(path, format="WAV", endian="BIG"), {"truncated"}),
    "streamed, length unknown": (streamed, set()),
    "dead channel": (lambda path: write(path, np.stack([sound(), np.zeros(24000)], 1)), {"channel"}),
    "stuck channel": (lambda path: write(path, np.stack([np.full(24000, 0.25), sound()], 1)), {"channel", "offset"}),
    "channels that nearly cancel": (lambda path: write(path, np.stack([sound(), -0.9 * sound()], 1)), {"channel"}),
    "eight channels": (lambda path: write(path, np.stack([sound()] * 8, 1)), set()),
    "192 kHz": (lambda path: write(path, sound(1, 192000), 192000), set()),
    "4 kHz": (lambda path: write(path, sound(2, 4000), 4000), set()),
    "8 bits": (lambda path: write(path, sound(), subtype="PCM_U8"), set()),
    "0.2 s": (lambda path: write(path, sound(0.2)), set()),
    "one peak at full scale": (lambda path: write(path, with_value(sound(), 1.0)), set()),
}


@pytest.mark.parametrize("kind", FLAGGED)
def test_a_doubtful_recording_is_classified_and_flagged(classifier, tmp_path, kind):
    make, flaws = FLAGGED[kind]
    path = tmp_path / "doubtful.wav"
    make(path)
    result = classifier.classify_file(path)
    assert {flaw.kind for flaw in result.flaws} == flaws
    assert sum(result.summary.probabilities.values()) == pytest.approx(1)


def test_silence_is_located_and_not_classified(classifier, tmp_path):
    path = tmp_path / "gap.wav"
    write(path, np.concatenate([sound(9), np.zeros(20 * RATE), sound(9)]))
    result = classifier.classify_file(path)
    (flaw,) = result.flaws
    assert (flaw.kind, flaw.start, flaw.end) == ("silence", pytest.approx(9), pytest.approx(29))
    # The windows from 12, 16 and 20 s lie within the silence.
    gaps = [(left.end, right.start) for left, right in pairwise(result.segments) if right.start > left.end]
    assert gaps == [(16, 24)]
    cycles = classifier.classify_file(path, [(1, 3), (12, 14), (30, 33)])
    assert [segment.start for segment in cycles.segments] == [1, 30]
    assert "the cycle from 12 to 14 s has no sound" in cycles.flaws[1].message
    with pytest.raises(LungSRADError, match="every cycle is silent"):
        classifier.classify_file(path, [(12, 14)])


def test_many_gaps_are_one_flaw(classifier, tmp_path):
    path = tmp_path / "gate.wav"
    write(path, np.concatenate([part for _ in range(25) for part in (sound(0.3), np.zeros(RATE // 2))]))
    (flaw,) = classifier.classify_file(path).flaws
    assert flaw.message == "silence or a constant value in 25 stretches, 12.5 s in total"


# ---- cycles and options ----


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.wav"
    write(path, sound(5))
    return path


CYCLES = {
    "reversed": ([(2, 1)], "from 2 to 1 s has no length"),
    "negative": ([(-1, 1)], "from -1 to 1 s has no length"),
    "beyond": ([(0, 1), (4, 6)], "from 4 to 6 s lies beyond the audio, which ends at 5.000 s"),
    "after the end": ([(5.01, 5.04)], "lies beyond the audio"),
    "too short": ([(1, 1.1)], "shorter than 0.2 s"),
    "nothing": ([], "the list of cycles is empty"),
    "no pairs": ([1, 2], r"cycle 1: expected a pair"),
    "no numbers": ([("a", "b")], r"expected a pair"),
    "not finite": ([(0, float("nan"))], "from 0 to nan s has no length"),
}


@pytest.mark.parametrize("kind", CYCLES)
def test_bad_cycles_are_refused(classifier, good, kind):
    cycles, message = CYCLES[kind]
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(good, cycles)


ANNOTATIONS = {
    "absent": (None, "no such annotation"),
    "empty": (b"", "no cycles"),
    "three columns": (b"0 1 0\n", "of no known format, which begins with '0 1 0'"),
    "unknown finding": (b"0 1 0 2\n", "unknown finding"),
    "audio": (bytes(range(256)), "not a text file"),
    "beyond": (b"0 9 0 0\n", "lies beyond the audio"),
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_bad_annotations_are_refused(classifier, good, tmp_path, kind):
    content, message = ANNOTATIONS[kind]
    path = tmp_path / "bad.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(good, path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 0.001}, "hop"),
        ({"hop": 0}, "hop"),
        ({"hop": 9}, "hop"),
        ({"hop": -1}, "hop"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_options_are_refused(classifier, good, options, message):
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(good, **options)


def test_a_web_address_needs_savedir(classifier):
    with pytest.raises(LungSRADError, match="savedir=FOLDER"):
        classifier.classify_file("https://example.org/a.wav")


BATCHES = {
    "rate": ({"wavs": torch.zeros(1, 16000), "sample_rate": 4000}, "the model processes 16000 Hz"),
    "integers": (
        {"wavs": torch.zeros(1, 16000, dtype=torch.int16)},
        "int16; expected a tensor",
    ),
    "list": ({"wavs": [0.0, 0.1]}, "list; expected a tensor or numpy array"),
    "integers in an array": ({"wavs": np.zeros((1, 16000), dtype=np.int16)}, "int16; expected"),
    "infinite in float32": ({"wavs": np.full((1, 16000), 1e300)}, "NaN or infinite"),
    "huge": ({"wavs": np.full((1, 16000), 1e38)}, "waveform 0: the model's result is not finite"),
    "channels": ({"wavs": torch.zeros(1, 16000, 2)}, r"shape \(1, 16000, 2\)"),
    "empty": ({"wavs": torch.zeros(1, 0)}, "not empty"),
    "not a number": ({"wavs": torch.full((1, 16000), torch.nan)}, "NaN"),
    "too short": ({"wavs": torch.zeros(1, 500)}, "too short"),
    "lengths": ({"wavs": torch.zeros(2, 16000), "wav_lens": torch.tensor([1.0])}, "expected 2 lengths"),
    "lengths in samples": ({"wavs": torch.zeros(2, 16000), "wav_lens": torch.tensor([16000, 9])}, "at most 1"),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_bad_batches_are_refused(classifier, kind):
    arguments, message = BATCHES[kind]
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_batch(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device 'tpu' cannot be used"),
        ({"device": "cuda:77"}, "device 'cuda:77' cannot be used"),
        ({"precision": "int4"}, "precision 'int4' is unknown; expected one of fp32, bf16, fp16"),
        ({"devise": "cpu"}, "devise is unknown"),
    ],
)
def test_bad_run_options_are_refused(model_folder, options, message):
    with pytest.raises(LungSRADError, match=message):
        LungSoundClassifier.from_hparams(source=model_folder, run_opts=options)
