"""Features against reference spectrograms of real cycles and against torchaudio, clip by clip."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.compliance import kaldi

from lung_srad_plugin.audio.cycles import cut_cycle, read_cycle
from lung_srad_plugin.audio.fbank import KaldiFbank, kaldi_fbank
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.normalization import AudioSetNormalization
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.errors import LungSRADError


def one_clip(waveform, sample_rate=16000):
    """The definition: one call for one clip."""
    return kaldi.fbank(
        waveform[None],
        htk_compat=True,
        sample_frequency=sample_rate,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=128,
        dither=0.0,
        frame_shift=10,
    )


@pytest.mark.parametrize(("frames", "name"), [(None, "fbank"), (1024, "fbank_1024")])
def test_features_equal_the_reference(golden, frames, name):
    with np.load(golden / "frontend.npz") as arrays:
        keys = [row["key"] for row in json.loads(str(arrays["rows"]))]
        waveforms = torch.from_numpy(np.stack([arrays[f"{key}/waveform"] for key in keys]))
        reference = torch.from_numpy(np.stack([arrays[f"{key}/{name}"] for key in keys]))
    feats = AudioSetNormalization()(KaldiFbank(frames=frames)(waveforms), torch.ones(len(keys)))
    torch.testing.assert_close(feats, reference, atol=1e-4, rtol=0)


def test_recordings_give_the_reference_features(golden, icbhi_folder):
    with np.load(golden / "frontend.npz") as arrays:
        for row in json.loads(str(arrays["rows"])):
            path = icbhi_folder / "ICBHI_final_database" / f"{row['key'].rpartition(':')[0]}.wav"
            feats = AudioSetNormalization()(KaldiFbank()(read_cycle(path, row["start"], row["end"])))
            reference = torch.from_numpy(arrays[f"{row['key']}/fbank_1024"])
            torch.testing.assert_close(feats[0], reference, atol=1e-4, rtol=0)


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 4), samples=st.integers(400, 4000))
def test_a_batch_equals_clip_by_clip(batch, samples):
    waveforms = torch.randn(batch, samples, generator=torch.Generator().manual_seed(samples))
    expected = torch.stack([one_clip(waveform) for waveform in waveforms])
    torch.testing.assert_close(kaldi_fbank(waveforms), expected, atol=1e-4, rtol=0)


def test_clips_of_a_batch_do_not_affect_each_other():
    waveforms = torch.randn(3, 16000)
    louder = waveforms.clone()
    louder[1] *= 100
    feats, changed = kaldi_fbank(waveforms), kaldi_fbank(louder)
    torch.testing.assert_close(feats[[0, 2]], changed[[0, 2]], atol=0, rtol=0)
    # Below some 500 Hz a few of the 128 triangles hold no FFT bin and stay at the floor.
    assert (changed[1] - feats[1]).median().item() == pytest.approx(2 * np.log(100), abs=1e-3)


def test_silence_gives_the_floor():
    feats = KaldiFbank()(torch.zeros(1, 128000))
    assert torch.allclose(feats, torch.tensor(torch.finfo(torch.float32).eps).log())


def test_a_tone_is_found_in_its_mel_bin():
    seconds = torch.arange(128000) / 16000
    feats = KaldiFbank(frames=None)(torch.sin(2 * torch.pi * 1000 * seconds))
    mel = lambda hertz: 1127 * np.log(1 + hertz / 700)  # noqa: E731
    width = (mel(8000) - mel(20)) / 129
    assert (feats[0].argmax(dim=1) == round((mel(1000) - mel(20)) / width) - 1).all()


@pytest.mark.parametrize("frames", [1, 798, 1024, 500])
def test_the_number_of_frames_is_the_requested_one(frames):
    assert KaldiFbank(frames=frames)(torch.randn(2, 20000)).shape == (2, frames, 128)


def test_one_waveform_is_a_batch_of_one():
    waveform = torch.randn(16000)
    assert torch.equal(KaldiFbank()(waveform), KaldiFbank()(waveform[None]))


def test_gradients_reach_the_waveform():
    waveforms = torch.randn(2, 2000, requires_grad=True)
    KaldiFbank()(waveforms)[1].sum().backward()
    assert waveforms.grad[1].abs().max() > 0
    assert waveforms.grad[0].abs().max() == 0


def test_autocast_leaves_the_features_in_float32():
    waveforms = torch.randn(2, 16000)
    expected = CycleFeatures()(waveforms)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        feats = CycleFeatures()(waveforms)
    assert feats.dtype == torch.float32
    torch.testing.assert_close(feats, expected, atol=0, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_are_the_same_on_a_gpu():
    waveforms = 0.1 * torch.randn(3, 48000)
    feats = CycleFeatures()(waveforms.cuda())
    assert feats.device.type == "cuda"
    torch.testing.assert_close(feats.cpu(), CycleFeatures()(waveforms), atol=1e-3, rtol=0)


RECORDINGS = ("101_1b1_Al_sc_Meditron", "103_2b2_Ar_mc_LittC2SE", "104_1b1_Ar_sc_Litt3200", "107_2b3_Ar_mc_AKGC417L")


@pytest.mark.parametrize("recording", RECORDINGS)
def test_whole_recordings_give_the_training_features(icbhi_folder, recording):
    path = icbhi_folder / "ICBHI_final_database" / f"{recording}.wav"
    torch.testing.assert_close(CycleFeatures()(load_recording(path)), KaldiFbank()(read_cycle(path)), atol=1e-5, rtol=0)


def test_short_waveforms_are_shaped_as_in_training(icbhi_folder):
    path = icbhi_folder / "ICBHI_final_database" / "103_2b2_Ar_mc_LittC2SE.wav"
    clip = load_recording(path)[16000:60000]
    expected = KaldiFbank()(cut_cycle(clip))
    torch.testing.assert_close(CycleFeatures()(torch.stack([clip, clip]))[1:], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("module", [KaldiFbank(), CycleFeatures()])
def test_bad_waveforms_are_refused(module):
    with pytest.raises(LungSRADError, match=r"\(0, 16000\) are empty"):
        module(torch.zeros(0, 16000))
    with pytest.raises(LungSRADError, match=r"\(1, 0\) are empty"):
        module(torch.zeros(0))
    with pytest.raises(LungSRADError, match=r"expected \(B, samples\) or \(samples,\)"):
        module(torch.zeros(1, 1, 16000))
    with pytest.raises(LungSRADError, match="short"):
        module(torch.zeros(2, 399))


def test_frames_must_be_positive():
    with pytest.raises(LungSRADError, match="frames=0"):
        KaldiFbank(frames=0)


def test_normalisation_is_the_published_one():
    feats = torch.tensor([[[-4.2677393, -4.2677393 + 2 * 4.5689974]]])
    torch.testing.assert_close(AudioSetNormalization()(feats), torch.tensor([[[0.0, 1.0]]]))


def test_window_and_shift_are_those_of_kaldi():
    clip = torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    settings = {"num_mel_bins": 64, "sample_frequency": 8000, "frame_length": 32.0, "frame_shift": 16.0}
    theirs = kaldi.fbank(clip, window_type="hanning", htk_compat=True, dither=0.0, use_energy=False, **settings)
    ours = KaldiFbank(frames=None, n_mels=64, sample_rate=8000, window_ms=32.0, shift_ms=16.0)(clip)
    torch.testing.assert_close(ours[0], theirs, atol=1e-5, rtol=0)
    front_end = CycleFeatures(4.0, 8000, frames=None, n_mels=64, window_ms=32.0, shift_ms=16.0)
    assert front_end.shape == (249, 64) == tuple(front_end(clip).shape[1:])


def test_a_window_without_a_sample_is_refused():
    with pytest.raises(LungSRADError, match=r"shift_ms=0\.01"):
        KaldiFbank(shift_ms=0.01)
