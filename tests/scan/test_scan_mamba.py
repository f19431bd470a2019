"""Arguments and results of ``mamba_ssm``'s kernel, with the definition in its place."""

import sys
from types import ModuleType

import pytest
import torch
from scan_cases import assert_equal_to_reference, in_fp64, map_inputs, sequence_inputs

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.mamba import cross_scan_mamba, selective_scan_mamba
from lung_srad_plugin.scan.reference import cross_scan_reference, selective_scan_reference


def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
    """The definition, with the checks of ``selective_scan.cpp`` of mamba_ssm 2.3."""
    assert z is None
    assert u.dtype in (torch.float32, torch.float16, torch.bfloat16)
    for value in (delta, B, C):
        assert value.dtype == u.dtype
    for value in (u, delta, B, C):
        assert value.stride(-1) == 1 or value.shape[-1] == 1
    for value in (A, D, delta_bias):
        assert value is None or (value.dtype == torch.float32 and value.is_contiguous())
    return selective_scan_reference(u, delta, A, B, C, D, delta_bias, delta_softplus)


@pytest.fixture(autouse=True)
def mamba_ssm(monkeypatch):
    interface = ModuleType("mamba_ssm.ops.selective_scan_interface")
    interface.selective_scan_fn = selective_scan_fn
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)


@pytest.mark.parametrize(
    "sizes", [{}, {"height": 1, "width": 1}, {"batch": 2, "height": 3, "width": 5, "channels": 7, "states": 3}], ids=str
)
def test_map_equals_reference(sizes):
    assert_equal_to_reference(cross_scan_mamba, cross_scan_reference, map_inputs(**sizes))


@pytest.mark.parametrize("sizes", [{}, {"length": 1}, {"channels": 6, "groups": 3}], ids=str)
def test_sequence_equals_reference(sizes):
    def softplus(scan):
        return lambda *inputs: scan(*inputs, delta_softplus=True)

    scans = softplus(selective_scan_mamba), softplus(selective_scan_reference)
    assert_equal_to_reference(*scans, sequence_inputs(**sizes))


def test_sequence_without_skip_and_bias():
    u, delta, A, B, C, _, _ = sequence_inputs()
    y = selective_scan_mamba(u, delta.abs(), A, B, C)
    torch.testing.assert_close(y, selective_scan_reference(u, delta.abs(), A, B, C))


def test_a_bf16_map_stays_bf16_and_is_summed_in_fp32():
    inputs = [value.detach().bfloat16() for value in map_inputs(height=4, width=6)]
    y = cross_scan_mamba(*inputs)
    exact = cross_scan_reference(*in_fp64(inputs))
    assert y.dtype == torch.bfloat16
    # Each of the four outputs and their sum is rounded once.
    assert (y.double() - exact).norm() <= 2 * 2**-8 * exact.norm()


def test_fp64_is_refused_with_the_cure():
    with pytest.raises(LungSRADError, match="'mamba' scan computes in fp32; for fp64 use 'cpu'"):
        cross_scan_mamba(*in_fp64(map_inputs()))
    with pytest.raises(LungSRADError, match="'mamba' scan computes in fp32; for fp64 use 'cpu'"):
        selective_scan_mamba(*in_fp64(sequence_inputs()))
