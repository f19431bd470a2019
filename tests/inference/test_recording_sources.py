"""What a recording may be given as, and what no result may hold."""

import io
import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.inference import forking

RATE = 8000


@pytest.fixture(scope="module")
def samples():
    """Three seconds of two channels."""
    return np.random.default_rng(0).normal(0, 0.1, (3 * RATE, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def path(samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("sources") / "breath.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path


WAYS = {
    "path as text": lambda path, samples: (str(path), {}),
    "bytes": lambda path, samples: (path.read_bytes(), {}),
    "bytearray": lambda path, samples: (bytearray(path.read_bytes()), {}),
    "file object": lambda path, samples: (io.BytesIO(path.read_bytes()), {}),
    "array": lambda path, samples: (samples, {"sample_rate": RATE}),
    "array of float64": lambda path, samples: (samples.astype(np.float64), {"sample_rate": np.int64(RATE)}),
    "tensor": lambda path, samples: (torch.from_numpy(samples), {"sample_rate": RATE}),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_give_a_recording_has_the_same_result(classifier, path, samples, way):
    expected = classifier.classify_file(path)
    recording, options = WAYS[way](path, samples)
    result = classifier.classify_file(recording, name="bed 3", **options)
    assert result == replace(expected, file="bed 3")


def test_names_where_none_is_given(classifier, path, samples):
    assert classifier.classify_file(path).file == str(path)
    assert classifier.classify_file(path.read_bytes()).file == "recording"
    assert classifier.classify_file(samples, sample_rate=RATE).file == "recording"
    with path.open("rb") as file:
        assert classifier.classify_file(file).file == str(path)


def test_embeddings_of_samples(classifier, path, samples):
    found = classifier.encode_file(samples, [(0.5, 2.0)], sample_rate=RATE)
    assert torch.equal(found.vectors, classifier.encode_file(path, [(0.5, 2.0)]).vectors)


REFUSED = {
    "no rate": (lambda: np.zeros(8000, np.float32), {}, "sample_rate=None"),
    "rate of 0": (lambda: np.zeros(8000, np.float32), {"sample_rate": 0}, "sample_rate=0"),
    "rate as text": (lambda: np.zeros(8000, np.float32), {"sample_rate": "4000"}, "sample_rate='4000'"),
    "integers": (lambda: np.zeros(8000, np.int16), {"sample_rate": 4000}, "int16; expected floats .* 32768"),
    "transposed": (lambda: np.zeros((2, 8000), np.float32), {"sample_rate": 4000}, "transposed"),
    "three axes": (lambda: np.zeros((1, 2, 3), np.float32), {"sample_rate": 4000}, r"shape \(1, 2, 3\)"),
    "empty": (lambda: np.zeros(0, np.float32), {"sample_rate": 4000}, "no samples"),
    "not a number": (lambda: np.full(8000, np.nan), {"sample_rate": 4000}, "NaN"),
    "beyond float32": (lambda: np.full(8000, 1e300), {"sample_rate": 4000}, "infinite"),
    "rate for a file": (lambda: b"RIFF", {"sample_rate": 4000}, "states its own"),
    "no audio": (lambda: b"RIFF", {}, "recording: cannot be read as audio"),
    "text file": (lambda: io.StringIO("RIFF"), {}, "'rb'"),
    "number": (lambda: 7, {}, "type int"),
    "nothing": (lambda: None, {}, "type NoneType"),
    "list": (lambda: [0.0, 0.1], {"sample_rate": 4000}, "type list"),
    "name a number": (lambda: b"RIFF", {"name": 7}, "name=7"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_recording_is_refused(classifier, kind):
    make, options, message = REFUSED[kind]
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(make(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": "4"}, "hop='4'"),
        ({"hop": float("nan")}, "hop=nan"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"batch_size": True}, "batch_size=True"),
        ({"calibrated": "yes"}, "calibrated='yes'"),
        ({"cycles": 5}, "cycles"),
    ],
)
def test_options_of_wrong_types_are_refused(classifier, path, options, message):
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(path, **options)


def test_cycles_may_come_one_by_one(classifier, path):
    cycles = [(0.0, 1.0), (1.0, 3.0)]
    assert classifier.classify_file(path, iter(cycles)) == classifier.classify_file(path, cycles)


# ---- results that are not finite ----


@pytest.mark.parametrize("loudness", [1e19, 1e30, 1e38])
def test_huge_samples_never_become_probabilities(classifier, samples, loudness):
    loud = (loudness * np.sign(samples)).astype(np.float32)
    with pytest.raises(LungSRADError, match=r"loud\.wav.*(not finite|infinite)"):
        classifier.classify_file(loud, sample_rate=RATE, name="loud.wav")
    with pytest.raises(LungSRADError, match=r"not finite|infinite"):
        classifier.encode_file(loud, sample_rate=RATE)


def test_weights_that_are_not_finite_never_become_probabilities(classifier, path, monkeypatch):
    monkeypatch.setattr(classifier.mods.classifier, "forward", lambda embeddings: embeddings[..., :4] * torch.nan)
    with pytest.raises(LungSRADError, match="not finite"):
        classifier.classify_file(path)
    with pytest.raises(LungSRADError, match="not finite"):
        classifier.classify_batch(torch.zeros(1, 16000))


# ---- file names ----


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"line\nbreak.wav", b"\x1b[2J.wav", "Atemgeräusch.wav".encode()])
def test_any_file_name_is_read(classifier, samples, tmp_path, name):
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="WAV")
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(content.getvalue())
    assert len(load_recording(path)) == 48000
    assert classifier.classify_file(path).file == str(path)


@pytest.mark.parametrize(("name", "message"), [("b.raw", "ffmpeg"), ("x" * 300, "no such audio file")])
def test_names_that_cannot_be_read_are_refused(classifier, tmp_path, name, message):
    if len(name) < 255:
        (tmp_path / name).write_bytes(bytes(1000))
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(tmp_path / name)
    with pytest.raises(LungSRADError, match=message):
        load_recording(tmp_path / name)


# ---- forks ----


def _classify_in_child(classifier, path, queue):
    try:
        queue.put(classifier.classify_file(path).summary.label)
    except LungSRADError as error:
        queue.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_fork_after_use_is_refused_with_the_cure(classifier, path):
    classifier.classify_file(path)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_classify_in_child, args=(classifier, path, queue))
    child.start()
    assert "get_context('spawn')" in queue.get(timeout=60)
    child.join()


def test_the_first_use_may_come_after_the_fork(monkeypatch):
    monkeypatch.setattr(forking, "_used_in", None)
    forking.check_process()
    forking.check_process()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(LungSRADError, match="forked"):
        forking.check_process()
