"""The ONNX file against torch: on real cycles, for any batch and length; and the scan in ONNX's operators."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_blocks import blocks_of
from onnx_exporter import need_onnx

from lung_srad_plugin import CycleFeatures, KaldiFbank, LungSRADError
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.datasets.icbhi.annotation import read_annotation
from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.export.onnx_features import ONNXFeatures
from lung_srad_plugin.scan.onnx import cross_scan_onnx, linear_recurrence, softplus, split_length
from lung_srad_plugin.scan.reference import cross_scan_reference


@pytest.fixture(scope="module")
def onnx_file(run_folder, tmp_path_factory):
    """The ONNX file of the tiny model, as ``export --onnx`` writes it."""
    need_onnx()
    folder = export_run(run_folder, tmp_path_factory.mktemp("onnx") / "model", onnx=True)
    assert {path.name for path in folder.iterdir()} >= {"model.onnx", "config.json"}
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def session(onnx_file):
    """The ONNX file in onnxruntime."""
    return need_onnx().InferenceSession(onnx_file, providers=["CPUExecutionProvider"])


def test_the_program_of_the_documentation_gives_the_answers_of_torch(onnx_file, classifier, tmp_path):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "deploy.md"
    (block,) = (block for block in blocks_of(page) if block.title == "run_onnx.py")
    (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    samples = 0.1 * np.random.default_rng(0).standard_normal((40000, 2)).astype(np.float32)

    def run(rate):
        soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
        command = [sys.executable, block.title, onnx_file, "a.wav"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = run(classifier.sample_rate)
    assert done.returncode == 0, done.stderr
    expected = classifier.classify_batch(torch.from_numpy(samples.mean(axis=1))[None])[0].exp()[0]
    printed = ast.literal_eval(done.stdout)
    assert list(printed) == list(classifier.labels)
    np.testing.assert_allclose(list(printed.values()), expected, atol=1e-4)
    assert f"resample it to {classifier.sample_rate} Hz first" in run(22050).stderr


def test_real_cycles_give_the_answers_of_torch(session, classifier, icbhi_folder):
    recordings = sorted(icbhi_folder.rglob("*.wav"))
    for path in (recordings[0], recordings[40], recordings[-1]):
        waveform = load_recording(path)
        for cycle in read_annotation(path.with_suffix(".txt"))[:3]:
            clip = waveform[None, int(cycle.start * 16000) : int(cycle.stop * 16000)]
            expected = classifier.classify_batch(clip)[0].numpy()
            np.testing.assert_allclose(session.run(None, {"waveforms": clip.numpy()})[0], expected, atol=1e-4)


@pytest.mark.parametrize(("batch", "samples"), [(1, 3200), (3, 127999), (2, 128000), (2, 128001), (1, 400000)])
def test_batch_and_length_are_open(session, classifier, batch, samples):
    clips = 0.1 * torch.randn(batch, samples)
    expected = classifier.classify_batch(clips)[0].numpy()
    np.testing.assert_allclose(session.run(None, {"waveforms": clips.numpy()})[0], expected, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1001, 40000), frames=st.sampled_from([None, 64, 200]))
def test_the_front_end_without_fft_is_the_front_end(samples, frames):
    features, clips = CycleFeatures(duration=1.0, frames=frames), torch.randn(2, samples)
    # The logarithm of what is a millionth of the frame's energy shows how the sums are rounded.
    difference = (ONNXFeatures(features)(clips) - features(clips)).abs()
    assert difference.max() < 0.05 and difference.mean() < 1e-4


def test_the_front_end_meets_silence_and_offsets():
    features = CycleFeatures(duration=1.0, frames=None)
    clips = torch.cat([torch.zeros(1, 16000), torch.full((1, 16000), 0.5), 0.5 + 0.01 * torch.randn(1, 16000)])
    expected = features(clips)
    found = ONNXFeatures(features)(clips)
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], atol=5e-3, rtol=0)
    assert isinstance(features.fbank, KaldiFbank) and torch.isfinite(found).all()


def step_by_step(decay, value):
    states, state = [], torch.zeros_like(value[0])
    for t in range(len(decay)):
        state = decay[t] * state + value[t]
        states.append(state)
    return torch.stack(states)


@given(length=st.integers(1, 300), seed=st.integers(0, 99))
def test_the_recurrence_in_blocks_is_the_recurrence(length, seed):
    generator = torch.Generator().manual_seed(seed)
    decay = torch.rand(length, 3, generator=generator, dtype=torch.float64)
    value = torch.randn(length, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(linear_recurrence(decay, value), step_by_step(decay, value), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 1e-30, 0.999999, 1.0])
def test_decays_that_vanish_or_last_do_no_harm(decay):
    decays, values = torch.full((4096, 2), decay), torch.randn(4096, 2)
    exact = step_by_step(decays.double(), values.double())
    torch.testing.assert_close(linear_recurrence(decays, values).double(), exact, atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (4, 6), (8, 33)])
def test_the_scan_of_a_map_is_the_reference(height, width):
    torch.manual_seed(0)
    x, delta = torch.randn(2, height, width, 6), torch.randn(2, height, width, 4, 6)
    B, C = torch.randn(2, height, width, 4, 1), torch.randn(2, height, width, 4, 1)
    arguments = (x, delta, B, C, -torch.rand(4, 6, 1), torch.randn(4, 6), torch.randn(4, 6))
    torch.testing.assert_close(cross_scan_onnx(*arguments), cross_scan_reference(*arguments), atol=1e-5, rtol=1e-5)


def test_softplus_without_a_logarithm():
    x = torch.cat([torch.linspace(-40, 40, 100001), torch.tensor([-1e30, -100.0, 88.0, 89.0, 1e30])])
    exact = torch.nn.functional.softplus(x.double(), threshold=1e9)
    torch.testing.assert_close(softplus(x).double(), exact, atol=1e-38, rtol=4e-7)


@given(length=st.integers(1, 5000))
def test_blocks_cover_a_sequence_with_none_to_spare(length):
    steps, blocks = split_length(length)
    assert steps * blocks >= length > steps * (blocks - 1)


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_the_cure(run_folder, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LungSRADError, match=rf'{package}, which is not installed; pip install "lung-srad\[onnx\]"'):
        export_run(run_folder, tmp_path / "model", onnx=True)
    assert not list(tmp_path.iterdir())


def test_a_torch_that_cannot_export_is_told_first(run_folder, tmp_path, monkeypatch):
    need_onnx()
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(LungSRADError, match=r"torch 2\.9\.1\+cpu cannot write this model\.onnx, torch from 2\.10"):
        export_run(run_folder, tmp_path / "model", onnx=True)
    assert not (tmp_path / "model" / "model.onnx").exists()
