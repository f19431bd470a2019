"""The gain of a recording: robust to silence, knocks and clipping, and the same whole or in parts."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin import CycleFeatures, LungSRADError, load_recording
from lung_srad_plugin.audio.levels import TARGET_RMS, LevelMeter, block_rms, level_gain
from lung_srad_plugin.audio.stream import RecordingStream


def breaths(seconds=15.0, loudness=0.01, seed=0):
    """Noise that swells and fades every 3 s."""
    samples = round(seconds * 16000)
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    return loudness * noise * (1.2 + torch.sin(2 * torch.pi * torch.arange(samples) / 48000))


def test_quiet_and_loud_recordings_come_to_one_level():
    for loudness in (1e-4, 0.01, 0.3):
        recording = breaths(loudness=loudness)
        levelled = CycleFeatures(level="rms").prepare(recording)
        quantile = torch.quantile(block_rms(levelled), 0.75)
        assert quantile.item() == pytest.approx(TARGET_RMS, rel=0.01)


def test_whole_numbers_of_16_bits_are_the_samples_times_their_range(tmp_path):
    soundfile.write(tmp_path / "breaths.wav", breaths().numpy(), 16000, subtype="FLOAT")
    recording = load_recording(tmp_path / "breaths.wav")
    prepared = CycleFeatures(level="int16").prepare(recording)
    torch.testing.assert_close(prepared, CycleFeatures().prepare(recording) * 32768, rtol=0, atol=0)
    stream = RecordingStream(tmp_path / "breaths.wav", level="int16")
    torch.testing.assert_close(torch.cat(list(stream.blocks())), prepared, rtol=1e-5, atol=1e-2)


def test_the_gain_is_that_of_the_definition():
    recording = breaths()
    rms = np.array([block.std() for block in recording.double().numpy()[: 240 * 1000].reshape(-1, 1000)])
    assert level_gain(recording).item() == pytest.approx(TARGET_RMS / np.quantile(rms, 0.75), rel=1e-9)


def silence_added(recording):
    return torch.cat([torch.zeros(20 * 16000), recording, torch.zeros(40 * 16000)])


def stuck_sensor_added(recording):
    return torch.cat([recording, torch.full((30 * 16000,), 0.7)])


def knocked(recording):
    recording = recording.clone()
    for second in (1, 5, 9):
        recording[second * 16000 : second * 16000 + 4000] += torch.randn(4000)
    return recording


def clipped(recording):
    return recording.clamp(-2.0 * recording.std(), 2.0 * recording.std())


def offset(recording):
    return recording + 0.2


@pytest.mark.parametrize("change", [silence_added, stuck_sensor_added, knocked, clipped, offset])
def test_the_gain_hardly_moves(change):
    recording = breaths()
    assert level_gain(change(recording)).item() == pytest.approx(level_gain(recording).item(), rel=0.15)


@pytest.mark.parametrize("recording", [torch.zeros(32000), torch.full((32000,), 0.5), 1e-6 * torch.randn(32000)])
def test_without_sound_nothing_is_lifted(recording):
    assert level_gain(recording).item() == 1.0


def test_each_recording_of_a_batch_has_its_own_gain():
    batch = torch.stack([breaths(2.0, 0.01), breaths(2.0, 0.02), torch.zeros(32000)])
    gains = level_gain(batch)
    assert gains.shape == (3, 1)
    assert gains.flatten().tolist() == pytest.approx([level_gain(recording).item() for recording in batch])


def test_the_level_is_that_of_the_whole_recording_whichever_cycle_is_cut():
    features, recording = CycleFeatures(level="rms"), breaths()
    prepared = features.prepare(recording)
    gain = level_gain(CycleFeatures().prepare(recording)).item()
    for start in (1.0, 2.5, 6.0):
        expected = gain * CycleFeatures().cut(CycleFeatures().prepare(recording), start, start + 1.0)
        torch.testing.assert_close(features.cut(prepared, start, start + 1.0), expected)


@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=8), seed=st.integers(0, 9))
def test_parts_give_the_gain_of_the_whole(sizes, seed):
    sizes.append(1000)
    recording = breaths(sum(sizes) / 16000, seed=seed)
    meter = LevelMeter()
    for part in recording.split(sizes):
        meter.add(part)
    assert meter.gain() == pytest.approx(level_gain(recording).item(), rel=1e-12)


@pytest.mark.parametrize(("rate", "channels"), [(4000, 1), (16000, 2), (44100, 2)])
@pytest.mark.parametrize("seconds", [0.2, 3.3, 21.0])
def test_streaming_gives_the_samples_of_the_whole(tmp_path, rate, channels, seconds):
    path = tmp_path / "quiet.wav"
    samples = np.random.default_rng(0).normal(0, 0.001, (int(seconds * rate), channels))
    soundfile.write(path, samples, rate, subtype="PCM_24")
    whole = CycleFeatures(level="rms").prepare(load_recording(path))
    stream = RecordingStream(path, level="rms")
    assert stream.gain > 10
    torch.testing.assert_close(torch.cat(list(stream.blocks())), whole, atol=1e-6, rtol=0)


def test_recordings_of_icbhi_keep_about_the_level_they_have(icbhi_folder):
    paths = sorted(icbhi_folder.rglob("*.wav"))[::10]
    gains = torch.cat([level_gain(load_recording(path)) for path in paths])
    assert 0.5 < gains.median() < 2


def test_unknown_levels_are_refused(tmp_path):
    with pytest.raises(LungSRADError, match="level='peak': expected one of recorded, rms"):
        CycleFeatures(level="peak")
    with pytest.raises(LungSRADError, match="level='peak'"):
        RecordingStream(tmp_path / "any.wav", level="peak")
