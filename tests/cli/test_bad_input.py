"""What is refused or flagged, and in which words: recordings, cycles, batches, model folders."""

import json
import shutil
import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.inference.classifier import LungSoundClassifier

RATE = 8000


def sound(seconds=3.0, rate=RATE, loudness=0.1):
    return np.random.default_rng(0).normal(0, loudness, round(seconds * rate)).clip(-0.9, 0.9)


def write(path, samples, rate=RATE, subtype=None):
    soundfile.write(path, samples, rate, subtype=subtype)


def with_value(samples, value, place=1000):
    samples = samples.copy()
    samples[place] = value
    return samples


def broken_flac(path):
    write(path.with_suffix(".flac"), sound(60))
    content = path.with_suffix(".flac").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def wrong_header(path):
    write(path, sound())
    path.write_bytes(b"RIFX" + path.read_bytes()[4:30])


# How to make the file, and what must be said of it.
REFUSED = {
    "absent": (lambda path: None, "no such audio file"),
    "folder": (lambda path: path.mkdir(), "no such audio file"),
    "zero bytes": (lambda path: path.touch(), "cannot be read as audio"),
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
    "too short": (lambda path: write(path, sound(0.19)), r"lasts 0.190 s; expected at least 0.2 s"),
    "low rate": (lambda path: write(path, sound(rate=2000), 2000), "2000 samples a second; .* at least 4000"),
    "odd rate": (lambda path: write(path, sound(1, 44099), 44099), "44099 Hz has no common measure .* ffmpeg"),
    "channels that cancel": (
        lambda path: write(path, np.stack([sound(), -sound()], 1)),
        "silence from beginning to end",
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


def cut_off(path):
    write(path, sound(4))
    path.write_bytes(path.read_bytes()[:-RATE])


def streamed(path):
    write(path, sound())
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
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
    "streamed, size unknown": (streamed, set()),
    "dead channel": (lambda path: write(path, np.stack([sound(), np.zeros(24000)], 1)), {"channel"}),
    "stuck channel": (lambda path: write(path, np.stack([np.full(24000, 0.25), sound()], 1)), {"channel", "offset"}),
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


def test_silence_has_its_place_and_is_not_classified(classifier, tmp_path):
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
    assert flaw.message == "silence or a constant value in 25 places, 12.5 s in total"


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
    "three columns": (b"0 1 0\n", "malformed"),
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
    [({"hop": 0}, "hop"), ({"hop": 9}, "hop"), ({"hop": -1}, "hop"), ({"batch_size": 0}, "batch_size=0")],
)
def test_bad_options_are_refused(classifier, good, options, message):
    with pytest.raises(LungSRADError, match=message):
        classifier.classify_file(good, **options)


def test_a_web_address_needs_a_place(classifier):
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


# ---- model folders ----


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def load(folder, **options):
    return LungSoundClassifier.from_hparams(source=folder, **{"run_opts": {"device": "cpu"}, **options})


@pytest.mark.parametrize(
    "name", ["config.json", "hyperparams.yaml", "label_encoder.ckpt", "embedding_model.ckpt", "classifier.ckpt"]
)
def test_each_needed_file_is_missed_by_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(LungSRADError, match=rf"{name}: the file is missing; copy the whole folder again"):
        load(folder)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "embedding_model.safetensors", "classifier.safetensors"])
def test_files_for_people_may_be_missing(folder, name):
    (folder / name).unlink()
    assert load(folder).labels == ("normal", "crackle", "wheeze", "both")


def change_weights(folder, change, name="embedding_model.ckpt"):
    weights = torch.load(folder / name, weights_only=True)
    change(weights)
    torch.save(weights, folder / name)


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def change_yaml(folder, old, new):
    text = (folder / "hyperparams.yaml").read_text()
    assert old in text
    (folder / "hyperparams.yaml").write_text(text.replace(old, new))


def labels(folder, *names):
    lines = [f"'{name}' => {place}" for place, name in enumerate(names)]
    text = "\n".join([*lines, "================", "'starting_index' => 0\n"])
    (folder / "label_encoder.ckpt").write_text(text)


FOLDERS = {
    "missing weight": (lambda f: change_weights(f, lambda w: w.pop("norm.weight")), "missing norm.weight"),
    "unexpected weight": (lambda f: change_weights(f, lambda w: w.update(x=torch.zeros(1))), "unexpected x"),
    "misshapen weight": (
        lambda f: change_weights(f, lambda w: w.update({"linear.weight": torch.zeros(5, 32)}), "classifier.ckpt"),
        r"linear.weight is \(5, 32\) instead of \(4, 32\)",
    ),
    "other weights": (
        lambda f: change_weights(f, lambda w: w["norm.weight"].add_(1)),
        "embedding_model.ckpt: not the file that this model was exported with",
    ),
    "empty weights": (lambda f: (f / "classifier.ckpt").write_bytes(b""), "not a readable file of weights"),
    "text for weights": (lambda f: (f / "classifier.ckpt").write_text("git-lfs"), "not a readable file of weights"),
    "a list for weights": (lambda f: torch.save([1], f / "classifier.ckpt"), "holds no weights by name"),
    "weights cut off": (
        lambda f: (f / "embedding_model.ckpt").write_bytes((f / "embedding_model.ckpt").read_bytes()[:3000]),
        "not a readable file of weights",
    ),
    "foreign labels": (lambda f: labels(f, "dog", "cat", "owl", "cow"), "holds the labels dog, cat, owl, cow, but"),
    "labels in another order": (lambda f: labels(f, "crackle", "normal", "wheeze", "both"), "holds the labels crackle"),
    "too few labels": (lambda f: labels(f, "normal", "crackle"), "holds the labels normal, crackle, but"),
    "text for labels": (lambda f: (f / "label_encoder.ckpt").write_text("hello"), "not a label encoder"),
    "config no json": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "the key 'format' is missing"),
    "config without stamp": (lambda f: change_config(f, format=None), "the key 'format' is missing"),
    "from the future": (lambda f: change_config(f, format=99), "format 99, .*pip install --upgrade lung-srad"),
    "from the past": (lambda f: change_config(f, format=0), "format 0, .*export the model again"),
    "other rate": (lambda f: change_config(f, sample_rate=8000), "sample_rate is 16000, .* trained with 8000"),
    "other frames": (lambda f: change_yaml(f, "frames: 128", "frames: 64"), "frames is 64, .* trained with 128"),
    "other smoothing": (lambda f: change_yaml(f, "sigma: 1.0", "sigma: 9.0"), "hyperparams.yaml: not the file"),
    "no yaml": (lambda f: (f / "hyperparams.yaml").write_text("{: ["), "the model cannot be built"),
    "unknown class": (lambda f: change_yaml(f, "LogClassifier", "NoClassifier"), "the model cannot be built"),
    "unknown argument": (lambda f: change_yaml(f, "depths:", "deepness:"), "the model cannot be built"),
    "no pretrainer": (lambda f: change_yaml(f, "pretrainer:", "trainer:"), "the key 'pretrainer' is missing"),
    "path of the hub": (
        lambda f: change_yaml(f, "    loadables:", "    paths: {classifier: a/b/c.ckpt}\n    loadables:"),
        "must load .* from the folder itself",
    ),
    "other front end": (
        lambda f: change_yaml(f, "compute_features: !new:lung_srad_plugin.CycleFeatures\n    duration: 8.0\n"
                              "    sample_rate: 16000\n", "compute_features: !new:lung_srad_plugin.KaldiFbank\n"),
        "is KaldiFbank, not CycleFeatures",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_is_not_whole_is_refused(folder, kind):
    change, message = FOLDERS[kind]
    change(folder)
    with pytest.raises(LungSRADError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("source", ["no/such/folder/here", "./nothing", "/nothing", r"C:\models\lung", "nothing", ""])
def test_what_is_no_folder_is_said_without_the_network(source):
    with pytest.raises(LungSRADError, match="no such folder"):
        load(source)


def test_a_training_run_is_told_from_a_model(run_folder):
    with pytest.raises(LungSRADError, match=r"output of a training run, not a model; use .*export"):
        load(run_folder)


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
        load(model_folder, run_opts=options)


def test_an_override_that_matches_nothing_is_refused(model_folder):
    with pytest.raises(LungSRADError, match="the model cannot be built"):
        load(model_folder, overrides={"no_such_key": 1})
    with pytest.raises(LungSRADError, match="no such hyperparameter file"):
        load(model_folder, hparams_file="other.yaml")
