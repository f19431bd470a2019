"""Synthetic sounds: the waveforms have the durations and frequencies asked for, the folder has the form of ICBHI."""

import errno
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi
from lung_srad_plugin.datasets.synthetic.sounds import (
    apply_gain,
    breath_noise,
    crackle,
    heart_sounds,
    stethoscope,
    wheeze,
)
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES, label_of


def rng():
    return np.random.default_rng(0)


def spectrum(waveform, sample_rate):
    power = np.abs(np.fft.rfft(waveform)) ** 2
    return np.fft.rfftfreq(len(waveform), 1 / sample_rate), power


def zero_crossings(waveform, sample_rate):
    """Times of sign changes, interpolated between samples; zeros at the ends do not count."""
    before = np.flatnonzero(waveform[:-1] * waveform[1:] < 0)
    fraction = waveform[before] / (waveform[before] - waveform[before + 1])
    return (before + fraction) / sample_rate


@pytest.mark.parametrize(("deflection", "two_cycles"), [(0.0007, 0.005), (0.0015, 0.010), (0.0012, 0.0125)])
def test_a_crackle_has_its_deflection_width_and_two_cycle_duration(deflection, two_cycles):
    rate = 441_000
    wave = crackle(deflection, two_cycles, rate)
    crossings = np.array([0, *zero_crossings(wave[:-2], rate), (len(wave) - 1) / rate])
    assert len(crossings) == 5  # the start, three within, and the end of the second cycle
    assert crossings[1] == pytest.approx(deflection, rel=0.01)
    assert crossings[-1] == pytest.approx(two_cycles, rel=0.01)
    half_periods = np.diff(crossings)
    assert (np.diff(half_periods) > 0).all()
    assert np.abs(wave).max() == 1


def test_a_crackle_is_explosive_and_dies_away():
    wave = np.abs(crackle(0.0015, 0.010, 44100))
    quarters = [part.max() for part in np.array_split(wave, 4)]
    assert quarters[0] > 0.95 and max(quarters[2:]) < 0.7 and quarters[3] < 0.2


def test_fine_crackles_are_higher_than_coarse_ones():
    centroids = []
    for deflection, two_cycles in ((0.0007, 0.005), (0.0015, 0.010)):
        frequency, power = spectrum(np.pad(crackle(deflection, two_cycles, 4000), (0, 4000)), 4000)
        centroids.append((frequency * power).sum() / power.sum())
    assert 300 < centroids[0] < 900 and 150 < centroids[1] < 400


@pytest.mark.parametrize("sample_rate", [4000, 10000, 44100])
def test_a_wheeze_has_its_energy_at_its_frequency_and_harmonics(sample_rate):
    wave = wheeze(400, 400, 1.0, sample_rate, harmonics=(1.0, 0.3, 0.1))
    frequency, power = spectrum(wave, sample_rate)
    shares = [power[np.abs(frequency - hertz) < 5].sum() / power.sum() for hertz in (400, 800, 1200)]
    assert shares == pytest.approx([1 / 1.1, 0.09 / 1.1, 0.01 / 1.1], abs=1e-3)


def test_a_wheeze_glides():
    rate = 16000
    wave = wheeze(500, 400, 1.0, rate, harmonics=(1.0,))
    crossings = zero_crossings(wave, rate)
    hertz = 0.5 / np.diff(crossings)
    assert hertz[5:20].mean() == pytest.approx(500, rel=0.02)
    assert hertz[-20:-5].mean() == pytest.approx(400, rel=0.02)
    assert wave[0] == 0 and abs(wave[-1]) < 1e-6 and np.abs(wave).max() == pytest.approx(1, rel=0.01)


def test_harmonics_that_a_sample_rate_cannot_hold_are_left_out():
    frequency, power = spectrum(wheeze(900, 900, 1.0, 4000), 4000)
    assert power[np.abs(frequency - 1800) < 5].sum() > 0.05 * power.sum()
    assert power[np.abs(frequency - 1300) < 100].sum() < 1e-6 * power.sum()  # where 2700 Hz would be mirrored


@pytest.mark.parametrize("slope", [13.0, 18.0])
def test_breath_noise_falls_by_its_slope(slope):
    noise = breath_noise(400_000, 16000, corner=200, slope=slope, rng=rng())
    frequency, power = spectrum(noise * np.hanning(len(noise)), 16000)

    def level(hertz):
        return 10 * np.log10(power[np.abs(frequency - hertz) < 0.05 * hertz].mean())

    assert level(1000) - level(2000) == pytest.approx(slope, abs=0.8)
    assert level(2000) - level(4000) == pytest.approx(slope, abs=0.8)
    assert level(150) > level(1000) + 1.5 * slope and level(150) > level(20) + 12


def test_heart_sounds_beat_at_their_rate_and_are_low():
    wave = heart_sounds(10 * 4000, 4000, beats_per_minute=60, first=0.5, rng=rng())
    frequency, power = spectrum(wave, 4000)
    assert power[frequency < 150].sum() > 0.999 * power.sum()
    envelope = np.abs(wave).reshape(-1, 80).max(axis=1)  # 20 ms
    firsts = np.flatnonzero((envelope > 0.75) & (envelope >= np.roll(envelope, 1)) & (envelope > np.roll(envelope, -1)))
    assert np.median(np.diff(firsts[np.diff(firsts, prepend=-99) > 10])) * 0.02 == pytest.approx(1.0, abs=0.1)


def test_a_stethoscope_halves_at_the_ends_of_its_band():
    seconds = np.arange(16000) / 16000
    for hertz, gain in ((50, 0.5), (400, 0.97), (2000, 0.5), (4000, 0.2)):
        wave = stethoscope(np.sin(2 * np.pi * hertz * seconds), 16000, 50, 2000)
        assert np.sqrt(2 * np.mean(wave[2000:-2000] ** 2)) == pytest.approx(gain, rel=0.06)


def test_a_gain_of_one_changes_nothing():
    wave = rng().standard_normal(1000)
    np.testing.assert_allclose(apply_gain(wave, 4000, np.ones_like), wave, atol=1e-12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's number of patients, with one recording each."""
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    synthesize_icbhi(folder, patients=24, recordings=1, seed=3, progress=False)
    return folder


def read_table(folder, name):
    return dict(line.split("\t", 1) for line in (folder / name).read_text().splitlines())


def annotations(folder):
    """Recording -> [(start, stop, label)]."""
    return {
        path.stem: [
            (float(start), float(stop), label_of(int(crackle_), int(wheeze_)))
            for start, stop, crackle_, wheeze_ in map(str.split, path.read_text().splitlines())
        ]
        for path in sorted((folder / "ICBHI_final_database").glob("*.txt"))
    }


def test_the_layout_is_that_of_icbhi(folder):
    split = read_table(folder, "ICBHI_challenge_train_test.txt")
    database = folder / "ICBHI_final_database"
    assert {path.name for path in database.iterdir()} == {f"{name}.{end}" for name in split for end in ("wav", "txt")}
    assert set(split.values()) == {"train", "test"}
    patients = [str(number) for number in range(901, 925)]
    for table in ("ICBHI_Challenge_demographic_information.txt", "ICBHI_Challenge_diagnosis.txt"):
        assert list(read_table(folder, table)) == patients
    assert sorted({name.split("_")[0] for name in split}) == patients
    for name in split:
        _, index, location, mode, device = name.split("_")
        assert location in ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr") and index == "1b1"
        assert mode == {"Meditron": "sc", "Litt3200": "sc", "LittC2SE": "mc", "AKGC417L": "mc"}[device]


def test_cycles_follow_each_other_within_the_audio(folder):
    for name, cycles in annotations(folder).items():
        info = soundfile.info(folder / "ICBHI_final_database" / f"{name}.wav")
        assert len(cycles) >= 3 and cycles[0][0] >= 0 and cycles[-1][1] <= info.duration
        assert [start for start, _, _ in cycles[1:]] == [stop for _, stop, _ in cycles[:-1]]
        assert all(1.5 < stop - start < 4.5 for start, stop, _ in cycles)


def test_the_split_is_60_40_by_patient_with_every_diagnosis_on_both_sides(folder):
    diagnosis = read_table(folder, "ICBHI_Challenge_diagnosis.txt")
    sides = defaultdict(set)
    for name, side in read_table(folder, "ICBHI_challenge_train_test.txt").items():
        sides[name.split("_")[0]].add(side)
    assert Counter(side for (side,) in sides.values()) == {"train": 14, "test": 10}
    for name in set(diagnosis.values()):
        assert {side for patient, (side,) in sides.items() if diagnosis[patient] == name} == {"train", "test"}


def test_all_classes_are_in_both_splits_and_the_description_counts_them(folder):
    counts = {"train": Counter(), "test": Counter()}
    split = read_table(folder, "ICBHI_challenge_train_test.txt")
    for name, cycles in annotations(folder).items():
        counts[split[name]].update(label for _, _, label in cycles)
    description = json.loads((folder / "SYNTHETIC.json").read_text())
    assert "Not medical data" in description["note"]
    for side in ("train", "test"):
        assert description["cycles"][side] == {label: counts[side][label] for label in CLASSES}
        total = sum(counts[side].values())
        assert 0.35 < counts[side]["normal"] / total < 0.65
        assert all(counts[side][label] / total > 0.04 for label in CLASSES)


@pytest.mark.parametrize("seed", range(3))
def test_all_classes_are_in_both_splits_of_the_smallest_folder(tmp_path, seed):
    cycles = synthesize_icbhi(tmp_path / "data", patients=5, recordings=1, seed=seed, progress=False)["cycles"]
    assert all(cycles[side][label] > 0 for side in ("train", "test") for label in CLASSES)


def test_the_sounds_can_be_read_at_every_device_rate(folder):
    formats = {}
    for path in sorted((folder / "ICBHI_final_database").glob("*.wav")):
        info = soundfile.info(path)
        formats[path.stem.split("_")[-1]] = (info.samplerate, info.subtype)
        recording = load_recording(path)
        assert len(recording) == pytest.approx(info.duration * 16000, abs=2)
        assert 0.02 < recording.abs().max() <= 1.0
    assert formats == {
        "Meditron": (10000, "PCM_16"),
        "Litt3200": (4000, "PCM_16"),
        "LittC2SE": (16000, "PCM_24"),
        "AKGC417L": (44100, "PCM_16"),
    }


def band_peak(recording, start, stop, low, high):
    """The strongest 64 ms of a cycle in a narrow band, against the band's median over frequency: a tone stands out."""
    clip = recording[int(start * 16000) : int(stop * 16000)].numpy()
    frames = np.lib.stride_tricks.sliding_window_view(clip, 1024)[::256] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames))[:, round(low / 15.625) : round(high / 15.625)]
    return np.median(np.sort((power / np.median(power, axis=1, keepdims=True)).max(axis=1))[-8:])


def test_wheezes_stand_out_where_they_are_annotated(folder):
    peaks = defaultdict(list)
    for name, cycles in annotations(folder).items():
        recording = load_recording(folder / "ICBHI_final_database" / f"{name}.wav")
        for start, stop, label in cycles:
            peaks[label].append(band_peak(recording, start, stop, 150, 750))
    assert np.median(peaks["wheeze"]) > 2 * np.median(peaks["normal"])


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthesize_icbhi(tmp_path / name, patients=5, recordings=1, seed=seed, progress=False)
    a, b, c = (hashes(tmp_path / name) for name in "abc")
    assert a == b
    assert all(a[name] != c.get(name) for name in a if name.endswith(".wav"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_complete_folder_of_the_same_settings_is_left_as_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "data"
    first = synthesize_icbhi(str(folder), patients=5, recordings=1, progress=False)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert synthesize_icbhi(folder, patients=5, recordings=1, progress=False) == first
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    with pytest.raises(LungSRADError, match=r"holds synthetic sounds of other settings.*choose another folder"):
        synthesize_icbhi(folder, patients=5, recordings=1, seed=9, progress=False)
    monkeypatch.setattr("lung_srad_plugin.datasets.synthetic.folder.__version__", "0.0.0")
    with pytest.raises(LungSRADError, match=r"instead of .*'version': '0\.0\.0'"):
        synthesize_icbhi(folder, patients=5, recordings=1, progress=False)


def test_an_empty_folder_is_filled_and_any_other_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    synthesize_icbhi(tmp_path / "empty", patients=5, recordings=1, progress=False)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LungSRADError, match="is a file"):
        synthesize_icbhi(tmp_path / "file", progress=False)
    with pytest.raises(LungSRADError, match="is not empty and holds no synthetic sounds; choose another folder"):
        synthesize_icbhi(tmp_path, progress=False)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        synthesize_icbhi(tmp_path / "data", patients=5, recordings=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(LungSRADError, match=r"data: cannot be written: No space left on device; free some space"):
        synthesize_icbhi(tmp_path / "data", patients=5, recordings=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LungSRADError, match=r"file/data: cannot be written: "):
        synthesize_icbhi(tmp_path / "file" / "data", progress=False)


@pytest.mark.parametrize("setting", [{"patients": 4}, {"recordings": 0}, {"recordings": 8}, {"seed": -1}])
def test_settings_out_of_range_are_refused(tmp_path, setting):
    with pytest.raises(LungSRADError, match=f"{next(iter(setting))}={next(iter(setting.values()))}: expected"):
        synthesize_icbhi(tmp_path / "data", **setting, progress=False)
