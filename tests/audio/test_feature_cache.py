"""The feature cache: computed once, and never believed unread."""

import errno
import logging
import os
import shutil

import numpy as np
import pytest
import soundfile
import torch

from lung_srad_plugin import CycleFeatures, FeatureCache, KaldiFbank, LungSRADError
from lung_srad_plugin.audio.cycles import read_cycle
from lung_srad_plugin.audio.feature_cache import CHECKSUM_BYTES, encode_features


@pytest.fixture
def rows(tmp_path):
    """Six cycles of two recordings."""
    draw = np.random.default_rng(0)
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", draw.normal(0, 0.1, 6 * 16000), 16000)
    return [
        {"wav": str(tmp_path / f"{name}.wav"), "start": start, "stop": start + 1.5}
        for name in "ab"
        for start in (0.0, 1.5, 3.0)
    ]


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "features", CycleFeatures(duration=1.0, frames=64))


def read_all(cache, rows):
    return torch.stack([cache(row["wav"], row["start"], row["stop"]) for row in rows])


def files(cache):
    return sorted(cache.folder.glob("*/*.npy"))


def test_cycles_are_computed_once_and_read_back(cache, rows, monkeypatch):
    expected = read_all(FeatureCache(None, cache.compute_features), rows)
    assert cache.fill(rows, progressbar=False) == 6
    assert len(files(cache)) == 6 and cache.fill(rows, progressbar=False) == 0
    monkeypatch.setattr(cache, "_compute", None)
    assert torch.equal(read_all(cache, rows), expected)


def test_features_are_those_of_a_cycle_by_itself(cache, rows):
    row = rows[1]
    waveform = read_cycle(row["wav"], row["start"], row["stop"], duration=1.0)
    assert torch.equal(cache(**row), cache.compute_features.fbank(waveform)[0])


@pytest.mark.parametrize(
    "other",
    [{"level": "rms"}, {"high_hz": 4000.0}, {"frames": 65}, {"frames": None}, {"duration": 1.25}, {"n_mels": 64}],
)
def test_other_settings_have_other_files(cache, rows, other):
    cache.fill(rows, progressbar=False)
    changed = FeatureCache(cache.folder, CycleFeatures(**{"duration": 1.0, "frames": 64, **other}))
    assert changed.fill(rows, progressbar=False) == 6
    assert read_all(changed, rows).shape[1:] == changed.compute_features.shape


def test_a_changed_recording_has_another_file(cache, rows):
    cache(**rows[0])
    os.utime(rows[0]["wav"], (1, 1))
    cache(**rows[0])
    assert len(files(cache)) == 2


def change_array(change):
    """Change the features of a file; its checksum stays that of before."""

    def damage(file, _):
        content = file.read_bytes()
        features = np.ascontiguousarray(change(np.load(file)))
        file.write_bytes(encode_features(features, file.stem)[:-CHECKSUM_BYTES] + content[-CHECKSUM_BYTES:])

    return damage


def change_array_and_checksum(change):
    """Change the features of a file as something that knows its form would."""
    return lambda file, _: file.write_bytes(encode_features(np.ascontiguousarray(change(np.load(file))), file.stem))


def flip_bit(position):
    def damage(file, _):
        content = bytearray(file.read_bytes())
        content[position] ^= 4
        file.write_bytes(content)

    return damage


DAMAGES = {
    "fewer frames": change_array(lambda features: features[:40]),
    "zeros": change_array(np.zeros_like),
    "NaN": change_array(lambda features: np.full_like(features, np.nan)),
    "transposed": change_array(np.transpose),
    "float64": change_array(lambda features: features.astype(np.float64)),
    "fewer frames, right checksum": change_array_and_checksum(lambda features: features[:40]),
    "NaN, right checksum": change_array_and_checksum(lambda features: np.where(features > 0, np.nan, features)),
    "infinite, right checksum": change_array_and_checksum(lambda features: np.full_like(features, np.inf)),
    "transposed, right checksum": change_array_and_checksum(np.transpose),
    "float64, right checksum": change_array_and_checksum(lambda features: features.astype(np.float64)),
    "bit of the header": flip_bit(20),
    "bit of a value": flip_bit(5000),
    "bit of the checksum": flip_bit(-1),
    "another cycle": lambda file, other: shutil.copyfile(other, file),
    "cut off": lambda file, _: os.truncate(file, 9000),
    "cut within the header": lambda file, _: os.truncate(file, 50),
    "one byte short": lambda file, _: os.truncate(file, file.stat().st_size - 1),
    "one byte more": lambda file, _: file.write_bytes(file.read_bytes() + b"\0"),
    "empty": lambda file, _: file.write_bytes(b""),
    "text": lambda file, _: file.write_text("hello"),
    "plain NumPy": lambda file, _: np.save(file, np.load(file)),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files_are_computed_again_with_one_warning(cache, rows, caplog, kind):
    cache.fill(rows, progressbar=False)
    expected = read_all(cache, rows)
    damaged = files(cache)[:4]
    for file in damaged:
        DAMAGES[kind](file, files(cache)[5])
    with caplog.at_level(logging.WARNING):
        assert cache.fill(rows, progressbar=False) == 4
    (record,) = caplog.records
    assert "4 of 6" in record.getMessage() and any(str(file) in record.getMessage() for file in damaged)
    assert torch.equal(read_all(cache, rows), expected)
    assert cache.fill(rows, progressbar=False) == 0 and len(caplog.records) == 1


@pytest.mark.parametrize("kind", DAMAGES)
def test_files_damaged_while_training_are_computed_again(cache, rows, caplog, kind):
    cache.fill(rows, progressbar=False)
    expected = read_all(cache, rows)
    for file in files(cache)[:4]:
        DAMAGES[kind](file, files(cache)[5])
    assert torch.equal(read_all(cache, rows), expected)
    (record,) = caplog.records
    assert "computed again" in record.getMessage()
    assert torch.equal(read_all(cache, rows), expected) and len(caplog.records) == 1


def test_a_full_disk_is_named_and_leaves_nothing(cache, rows, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(LungSRADError, match=r"features/.*No space left on device.*free some space"):
        cache(**rows[0])
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, rows):
    (tmp_path / "file").touch()
    with pytest.raises(LungSRADError, match=r"cannot be read|cannot keep"):
        FeatureCache(tmp_path / "file", CycleFeatures())(**rows[0])


def test_an_absent_recording_is_named(cache, tmp_path):
    with pytest.raises(LungSRADError, match=r"absent\.wav: no such recording"):
        cache(tmp_path / "absent.wav", 0.0, 1.0)


def test_features_that_are_not_finite_are_not_kept(cache, tmp_path):
    soundfile.write(tmp_path / "huge.wav", np.full(32000, 1e38) * (-1) ** np.arange(32000), 16000, subtype="FLOAT")
    with pytest.raises(LungSRADError, match=r"huge\.wav: the features .* are not finite"):
        cache(tmp_path / "huge.wav", 0.0, 1.0)
    assert not cache.folder.exists() or not files(cache)


def test_the_settings_of_earlier_runs_give_the_same_features(rows):
    earlier = FeatureCache(None, KaldiFbank(frames=64), duration=1.0, sample_rate=16000)
    assert torch.equal(
        read_all(earlier, rows), read_all(FeatureCache(None, CycleFeatures(duration=1.0, frames=64)), rows)
    )
    with pytest.raises(LungSRADError, match="sample_rate=8000, but compute_features is a KaldiFbank for 16000 Hz"):
        FeatureCache(None, KaldiFbank(), duration=1.0, sample_rate=8000)


@pytest.mark.parametrize(("setting", "value"), [("duration", 4.0), ("sample_rate", 8000)])
def test_another_duration_or_rate_than_the_front_end_has_is_refused(setting, value):
    with pytest.raises(LungSRADError, match=f"{setting} is {value}, but compute_features has"):
        FeatureCache(None, CycleFeatures(), **{setting: value})


def test_something_else_than_the_front_end_is_refused():
    with pytest.raises(LungSRADError, match="compute_features is Identity; expected a CycleFeatures"):
        FeatureCache(None, torch.nn.Identity())
