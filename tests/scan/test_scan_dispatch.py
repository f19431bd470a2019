"""Selection of a backend, and checks of the arguments of the public scan functions."""

import pytest
import torch
from scan_cases import NAMES, map_inputs, sequence_inputs

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan import dispatch
from lung_srad_plugin.scan.dispatch import available_scan_backends, cross_scan, cross_scan_projected, selective_scan


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def test_without_a_gpu_there_are_the_reference_and_the_cpu(no_gpu):
    assert available_scan_backends() == ("reference", "cpu")


def test_the_interpreter_makes_triton_available(no_gpu, monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: name == "triton" or None)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert available_scan_backends() == ("reference", "cpu", "triton")


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("numpy", "'numpy' is unknown; expected None or one of reference, cpu, triton, mamba"),
        ("triton", "no NVIDIA GPU here"),
    ],
)
def test_a_backend_that_cannot_work_is_refused(no_gpu, monkeypatch, backend, message):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: object())
    with pytest.raises(LungSRADError, match=message):
        cross_scan(*map_inputs(), backend=backend)


def test_a_backend_that_is_not_installed_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    with pytest.raises(LungSRADError, match=r'pip install "lung-srad\[cuda\]"'):
        selective_scan(*sequence_inputs(), backend="mamba")
    with pytest.raises(LungSRADError, match="pip install triton"):
        selective_scan(*sequence_inputs(), backend="triton")


def test_the_scan_for_export_is_used_where_it_is_named_and_not_listed():
    assert "onnx" not in available_scan_backends()
    inputs = [value.detach() for value in map_inputs(states=1)]
    torch.testing.assert_close(cross_scan(*inputs, backend="onnx"), cross_scan(*inputs), rtol=1e-4, atol=1e-5)
    with pytest.raises(LungSRADError, match=r"A has 2 states; .* takes 1 \(d_state=1\)"):
        cross_scan(*map_inputs(states=2), backend="onnx")
    with pytest.raises(LungSRADError, match="'onnx' scans maps"):
        selective_scan(*sequence_inputs(), backend="onnx")


def test_the_mamba_kernel_refuses_tensors_on_the_cpu(monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(LungSRADError, match="works on an NVIDIA GPU, the tensors are on 'cpu'"):
        selective_scan(*sequence_inputs(), backend="mamba")


def test_a_device_without_a_scan_is_refused():
    elsewhere = [value.to("meta") for value in map_inputs()]
    with pytest.raises(LungSRADError, match="no scan for tensors on 'meta'"):
        cross_scan(*elsewhere)
    with pytest.raises(LungSRADError, match="backend 'cpu' works on the CPU, the tensors are on 'meta'"):
        cross_scan(*elsewhere, backend="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_map_argument_of_another_shape_is_named_with_the_shape_expected(name):
    inputs = dict(zip(NAMES, map_inputs(height=3, width=4, channels=5, states=2), strict=True))
    expected = {
        "x": r"\(batch, H, W, channels\)",
        "delta": r"\(1, 3, 4, 4, 5\)",
        "B": r"\(1, 3, 4, 4, 2\)",
        "C": r"\(1, 3, 4, 4, 2\)",
        "A": r"\(4, 5, N\)",
        "D": r"\(4, 5\)",
        "delta_bias": r"\(4, 5\)",
    }
    inputs[name] = inputs[name][..., 0]
    with pytest.raises(LungSRADError, match=rf"^{name} has shape .*expected {expected[name]}"):
        cross_scan(**inputs)


def test_a_sequence_argument_of_another_shape_is_named():
    u, delta, A, B, C, D, bias = sequence_inputs(channels=6, groups=2)
    with pytest.raises(LungSRADError, match=r"^delta has shape \(2, 6, 6\); expected \(2, 6, 7\)"):
        selective_scan(u, delta[..., 1:], A, B, C, D, bias)
    with pytest.raises(LungSRADError, match=r"^C has shape \(2, 1, 2, 7\); expected \(2, 2, 2, 7\)"):
        selective_scan(u, delta, A, B, C[:, :1], D, bias)
    with pytest.raises(LungSRADError, match=r"^D has shape \(5,\); expected \(6,\)"):
        selective_scan(u, delta, A, B, C, D[1:], bias)
    with pytest.raises(LungSRADError, match="4 groups, which do not divide the 6 channels"):
        selective_scan(u, delta, A, B.repeat(1, 2, 1, 1), C.repeat(1, 2, 1, 1), D, bias)


def test_the_rank_of_projected_steps_must_fit_the_weights():
    x, _, B, C, A, D, bias = map_inputs(height=3, width=4, channels=5)
    with pytest.raises(LungSRADError, match=r"^dt has shape \(1, 3, 4, 4, 2\); expected \(1, 3, 4, 4, 3\)"):
        cross_scan_projected(x, torch.ones(1, 3, 4, 4, 2), torch.ones(4, 5, 3), B, C, A, D, bias)


def test_a_size_of_zero_is_refused():
    with pytest.raises(LungSRADError, match="no size 0"):
        selective_scan(*sequence_inputs(length=0))


def test_integers_and_complex_numbers_are_refused():
    inputs = [value.detach() for value in map_inputs()]
    for kind in (torch.int64, torch.complex64):
        wrong = [*inputs[:4], inputs[4].to(kind), *inputs[5:]]
        with pytest.raises(LungSRADError, match=f"^A has type {kind}; expected real floating-point"):
            cross_scan(*wrong)


def test_tensors_on_two_devices_are_refused():
    inputs = map_inputs()
    inputs[2] = inputs[2].to("meta")
    with pytest.raises(LungSRADError, match=r"^B is on 'meta', x on 'cpu'"):
        cross_scan(*inputs)
