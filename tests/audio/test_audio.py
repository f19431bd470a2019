"""Reading, fading, cutting and shaping, against hand-computed numbers and reference waveforms of real cycles."""

import json

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin.audio.cycles import cut_cycle, fade, read_cycle, shape_cycle
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.errors import LungSRADError


def write(path, samples, sample_rate=16000, **kwargs):
    soundfile.write(path, np.asarray(samples), sample_rate, **kwargs)
    return path


def test_cycles_equal_the_reference(golden, icbhi_folder):
    with np.load(golden / "frontend.npz") as arrays:
        for row in json.loads(str(arrays["rows"])):
            recording = row["key"].rpartition(":")[0]
            path = icbhi_folder / "ICBHI_final_database" / f"{recording}.wav"
            cycle = read_cycle(path, row["start"], row["end"])
            reference = torch.from_numpy(arrays[f"{row['key']}/waveform"])
            torch.testing.assert_close(cycle, reference, atol=1e-4, rtol=0)


def test_a_recording_in_memory_gives_the_same_cycle(icbhi_folder):
    path = icbhi_folder / "ICBHI_final_database" / "103_2b2_Ar_mc_LittC2SE.wav"
    torch.testing.assert_close(
        cut_cycle(load_recording(str(path)), 0.364, 3.25), read_cycle(path, 0.364, 3.25), atol=0, rtol=0
    )


def test_channels_are_averaged(tmp_path):
    path = write(tmp_path / "stereo.wav", [[0.5, 0.25], [0.0, -0.5]] * 10, subtype="FLOAT")
    assert load_recording(path).tolist() == [0.375, -0.25] * 10


def test_a_24_bit_recording_at_44100_hz_is_resampled(tmp_path):
    seconds = np.arange(44100) / 44100
    path = write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * seconds), 44100, subtype="PCM_24")
    recording = load_recording(path)
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(16000) / 16000)
    assert recording.shape == (16000,) and recording.dtype == torch.float32
    # The ends lie within the resampling filter's reach.
    torch.testing.assert_close(recording[100:-100], expected[100:-100], atol=2e-3, rtol=0)


def test_fade_equals_torchaudio():
    waveforms = torch.randn(3, 5000)
    expected = torchaudio.transforms.Fade(1000, 1000, fade_shape="linear")(waveforms)
    before = waveforms.clone()
    torch.testing.assert_close(fade(waveforms), expected, atol=1e-6, rtol=0)
    assert torch.equal(waveforms, before)


def test_rates_without_common_measure_are_refused(tmp_path):
    path = write(tmp_path / "odd.wav", np.zeros(44099), 44099)
    with pytest.raises(LungSRADError, match=r"odd\.wav: 44099 Hz has no common measure with 16000 Hz.*ffmpeg"):
        load_recording(path)


def test_shape_cycle_fades_the_end_of_what_it_repeats():
    cycle = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).repeat_interleave(8)  # 1.5 s at 32 Hz: the fade has 2 samples
    shaped = shape_cycle(cycle, duration=2, sample_rate=32)
    expected = torch.cat([cycle, cycle[:16]])
    expected[-1] = 0.0  # ramp 1, 0
    assert torch.equal(shaped, expected)


def test_shape_cycle_fades_what_has_the_exact_length():
    shaped = shape_cycle(torch.ones(64), duration=2, sample_rate=32)
    assert shaped.tolist() == [1.0] * 63 + [0.0]


def test_shape_cycle_cuts_without_a_fade():
    assert torch.equal(shape_cycle(torch.arange(65.0), duration=2, sample_rate=32), torch.arange(64.0))


def test_the_recording_is_faded_before_the_cut():
    recording = torch.ones(64)  # 2 s at 32 Hz
    assert cut_cycle(recording, 0.0, 1.0, duration=1, sample_rate=32).tolist() == [0.0] + [1.0] * 30 + [0.0]
    # One second from the middle, cut to half a second: neither of the recording's ends, no fade of a cut.
    assert cut_cycle(recording, 0.5, 1.5, duration=0.5, sample_rate=32).tolist() == [1.0] * 16
    assert cut_cycle(recording, 1.5, duration=1, sample_rate=32).tolist() == ([1.0] * 15 + [0.0]) * 2


@given(samples=st.integers(2, 200), batch=st.integers(1, 3))
def test_shape_cycle_repeats_every_row(samples, batch):
    waveforms = torch.randn(batch, samples)
    shaped = shape_cycle(waveforms, duration=2, sample_rate=32)
    assert shaped.shape == (batch, 64)
    for position in range(62):
        assert torch.equal(shaped[:, position], waveforms[:, position % samples])


def test_without_times_the_whole_recording_is_read(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 9 * 16000)
    path = write(tmp_path / "long.wav", samples, subtype="FLOAT")
    whole = torch.from_numpy(samples).float()
    whole[:1000] *= torch.linspace(0, 1, 1000)
    assert torch.equal(read_cycle(path), whole[:128000])


def test_a_stop_slightly_after_the_end_means_the_end():
    recording = torch.randn(32000)
    torch.testing.assert_close(cut_cycle(recording, 1.0, 2.04), cut_cycle(recording, 1.0, 2.0), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("start", "stop"), [(1.0, 1.0), (1.5, 1.0), (-0.1, 1.0), (float("nan"), 1.0), (0.0, float("nan"))]
)
def test_times_out_of_order_are_refused(tmp_path, start, stop):
    path = write(tmp_path / "noise.wav", np.zeros(32000))
    with pytest.raises(LungSRADError, match=r"noise\.wav: the cycle .*expected 0 <= start < stop"):
        read_cycle(path, start, stop)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 2.06), (2.0, 2.05), (5.0, 6.0), (0.0, float("inf"))])
def test_times_beyond_the_audio_are_refused(tmp_path, start, stop):
    path = write(tmp_path / "noise.wav", np.zeros(32000))
    with pytest.raises(LungSRADError, match=r"noise\.wav: the cycle .* lies beyond the audio, which ends at 2\.000 s"):
        read_cycle(path, start, stop)


def test_a_start_after_the_end_is_refused(tmp_path):
    path = write(tmp_path / "noise.wav", np.zeros(32000))
    with pytest.raises(LungSRADError, match=r"noise\.wav: the cycle from 3 to 2 s"):
        read_cycle(path, start=3.0)


def test_a_cycle_shorter_than_one_sample_is_refused(tmp_path):
    path = write(tmp_path / "noise.wav", np.zeros(32000))
    with pytest.raises(LungSRADError, match=r"noise\.wav: a waveform is empty"):
        read_cycle(path, 1.0, 1.00001)


def test_a_recording_too_short_to_fade_is_refused(tmp_path):
    path = write(tmp_path / "click.wav", np.zeros(500))
    with pytest.raises(LungSRADError, match=r"click\.wav: a waveform of 0\.0312 s \(500 samples\) is too short"):
        read_cycle(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(LungSRADError, match=r"absent\.wav: no such audio file"):
        load_recording(tmp_path / "absent.wav")
    with pytest.raises(LungSRADError, match="no such audio file"):
        load_recording(tmp_path)


@pytest.mark.parametrize("content", [b"", b"this is no audio", b"RIFF\x00\x00\x00\x00WAVE"])
def test_files_that_are_not_audio_are_named(tmp_path, content):
    path = tmp_path / "text.wav"
    path.write_bytes(content)
    with pytest.raises(LungSRADError, match=r"text\.wav: cannot be read as audio"):
        load_recording(path)


def test_an_empty_recording_is_named(tmp_path):
    path = write(tmp_path / "empty.wav", np.zeros(0))
    with pytest.raises(LungSRADError, match=r"empty\.wav: the audio file holds no samples"):
        load_recording(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    path = write(tmp_path / "broken.wav", [0.0, value, 0.0], subtype="FLOAT")
    with pytest.raises(LungSRADError, match=r"broken\.wav: the audio holds NaN or infinite samples"):
        load_recording(path)
