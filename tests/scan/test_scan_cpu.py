"""The numba kernels against the reference: outputs, gradients, extreme values, types, threads, recompilation."""

import functools
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_cases import (
    NAMES,
    assert_equal_to_reference,
    in_fp64,
    map_inputs,
    output_and_gradients,
    sequence_inputs,
)

import lung_srad_plugin
from lung_srad_plugin.scan.cpu.steps import CHUNK
from lung_srad_plugin.scan.cpu.vectors import LANES
from lung_srad_plugin.scan.dispatch import cross_scan, cross_scan_projected, selective_scan
from lung_srad_plugin.scan.reference import cross_scan_reference, selective_scan_reference


@pytest.mark.parametrize(
    "sizes",
    [
        {"height": 1, "width": 1},
        {"height": 1, "width": 2 * CHUNK + 3},
        {"height": CHUNK + 1, "width": 1},
        {"batch": 2, "height": 5, "width": 13, "channels": 2 * LANES},
        {"batch": 2, "height": 4, "width": 8, "channels": 3 * LANES + 1, "states": 3},
    ],
    ids=str,
)
def test_map_equals_reference(sizes):
    assert_equal_to_reference(cross_scan, cross_scan_reference, map_inputs(**sizes))


@settings(max_examples=20, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "batch": st.integers(1, 3),
            "height": st.integers(1, 9),
            "width": st.integers(1, 9),
            "channels": st.integers(1, 40),
            "states": st.integers(1, 3),
            "seed": st.integers(0, 1000),
        }
    )
)
def test_map_of_any_shape_equals_reference(sizes):
    assert_equal_to_reference(cross_scan, cross_scan_reference, map_inputs(**sizes))


@pytest.mark.parametrize("softplus", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_sequence_equals_reference(groups, softplus):
    scans = (functools.partial(scan, delta_softplus=softplus) for scan in (selective_scan, selective_scan_reference))
    inputs = sequence_inputs(groups=groups, length=2 * CHUNK + 1)
    if not softplus:
        # Steps below 0 would make the state grow beyond fp32.
        inputs = [value.detach().abs().requires_grad_() if i in (1, 6) else value for i, value in enumerate(inputs)]
    assert_equal_to_reference(*scans, inputs)


def test_sequence_with_one_group_left_out_and_no_skip_or_bias():
    u, delta, A, B, C, _, _ = sequence_inputs()
    y = selective_scan(u, delta.abs(), A, B[:, 0], C[:, 0])
    torch.testing.assert_close(y, selective_scan_reference(u, delta.abs(), A, B, C))


def test_sequence_decay_may_differ_from_step_to_step_without_softplus():
    # Negative steps make the state grow; the definition holds all the same.
    u, delta, A, B, C, _, _ = sequence_inputs(length=40)
    assert_equal_to_reference(selective_scan, selective_scan_reference, [u, delta, A, B, C])


@pytest.mark.parametrize("value", [-1e4, -200.0, -88.0, -30.0, -1e-6, 0.0, 1e-6, 15.0, 30.0, 300.0, 1e4])
def test_extreme_steps(value):
    x, delta, B, C, A, D, bias = map_inputs(height=3, width=CHUNK, channels=LANES)
    delta = (delta * 0 + value).detach().requires_grad_()
    inputs = [x, delta, B, C, A, (D * 0).detach().requires_grad_(), (bias * 0).detach().requires_grad_()]
    ours = output_and_gradients(cross_scan, inputs)
    expected = output_and_gradients(cross_scan_reference, in_fp64(inputs))
    for our, theirs in zip(ours, expected, strict=True):
        assert our.isfinite().all()
        # A decay stops at 2**-126, the smallest normal number of fp32, where fp64 continues to 0.
        assert (our - theirs).norm() <= 2e-5 * theirs.norm() + 1e-25


def test_softplus_and_decay_are_exact_to_the_last_digits():
    # One step: y = softplus(delta) B u; two steps: the first is damped by exp(softplus(delta) A).
    delta = torch.linspace(-80, 80, 4001).view(1, -1, 1).expand(1, -1, 2).contiguous()
    u = torch.zeros_like(delta)
    u[..., 0] = 1
    one = torch.ones(1, 1, 2)
    rate = -torch.logspace(-6, 1, 4001).view(-1, 1)
    y = selective_scan(u, delta, rate, one, one, delta_softplus=True).double()
    step = torch.nn.functional.softplus(delta.double()[0, :, 0], threshold=100)
    torch.testing.assert_close(y[0, :, 0], step, rtol=4e-7, atol=0)
    damped = step * torch.exp(step * rate[:, 0].double())
    # The exponent itself is rounded to fp32, so the error grows with its size.
    error = (y[0, :, 1] - damped).abs()
    assert (error <= (4e-7 + 2e-7 * (step * rate[:, 0]).abs()) * damped + 1e-37 * step).all()


def test_long_memory_neither_grows_nor_fades():
    length = 5000
    u = torch.zeros(1, 1, length)
    u[..., 0] = 1
    one = torch.ones(1, 1, length)
    y = selective_scan(u, one, torch.tensor([[-1e-12]]), one, one)
    torch.testing.assert_close(y, one, rtol=1e-6, atol=0)


@pytest.mark.parametrize("argument", range(7))
def test_nan_in_nan_out(argument):
    inputs = [value.detach() for value in map_inputs(channels=2 * LANES)]
    inputs[argument].view(-1)[0] = math.nan
    y = cross_scan(*inputs)
    expected = cross_scan_reference(*inputs)
    assert y.isnan().any()
    assert (y.isnan() == expected.isnan()).all()


def test_inputs_need_not_be_contiguous():
    inputs = [value.detach() for value in map_inputs(batch=2, height=5, width=6, channels=LANES)]
    strange = [value.flip(0).transpose(0, -1).contiguous().transpose(0, -1).flip(0) for value in inputs]
    assert not strange[0].is_contiguous()
    strange = [value.requires_grad_() for value in strange]
    assert_equal_to_reference(cross_scan, cross_scan_reference, strange)


def test_gradient_may_be_expanded_from_one_number():
    inputs = map_inputs(channels=LANES)
    (ours,) = torch.autograd.grad(cross_scan(*inputs).sum(), inputs[0])
    (expected,) = torch.autograd.grad(cross_scan_reference(*inputs).sum(), inputs[0])
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("rank", [1, 6, LANES + 3])
def test_projected_steps_equal_projecting_first(rank):
    channels = 5 * LANES + 3
    x, _, B, C, A, D, bias = map_inputs(batch=2, height=5, width=7, channels=channels)
    dt = torch.randn(2, 5, 7, 4, rank, requires_grad=True)
    weight = (torch.randn(4, channels, rank) / rank**0.5).requires_grad_()

    def project_first(x, dt, weight, *rest):
        return cross_scan_reference(x, torch.einsum("bhwkr,kcr->bhwkc", dt, weight), *rest)

    assert_equal_to_reference(cross_scan_projected, project_first, [x, dt, weight, B, C, A, D, bias])


def test_results_are_the_same_with_any_number_of_threads():
    inputs = map_inputs(batch=2, height=6, width=7, channels=5 * LANES)
    first = output_and_gradients(cross_scan, inputs)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again = output_and_gradients(cross_scan, inputs)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_scanned_in_fp32(dtype):
    inputs = [value.detach().to(dtype).requires_grad_() for value in map_inputs(height=8, width=8, channels=LANES)]
    ours = output_and_gradients(cross_scan, inputs)
    expected = output_and_gradients(cross_scan_reference, [value.detach().float().requires_grad_() for value in inputs])
    for our, theirs in zip(ours, expected, strict=True):
        assert our.dtype == dtype
        # Only the result, and the gradient it is given, are rounded to the narrow type.
        assert (our.float() - theirs).norm() <= 2 * torch.finfo(dtype).eps * theirs.norm()


def test_bf16_is_read_and_rounded_as_torch_does():
    inputs = [value.detach() for value in map_inputs(height=8, width=8, channels=LANES)]
    inputs[0] *= torch.logspace(-45, 38, 64).view(8, 8, 1)  # from below the normal numbers to nearly infinite ones
    inputs[0][0, 7, 7, :4] = torch.tensor([math.nan, math.inf, -math.inf, -math.nan])
    halves = [value.bfloat16() if name in ("x", "B", "C") else value for name, value in zip(NAMES, inputs, strict=True)]
    exact = cross_scan(*(value.float() for value in halves))
    assert exact.isnan().any()
    assert exact.isinf().any()
    assert torch.equal(cross_scan(*halves).nan_to_num(nan=7), exact.bfloat16().nan_to_num(nan=7))


def test_only_inputs_that_need_a_gradient_get_one():
    inputs = [value.detach() for value in map_inputs()]
    inputs[4].requires_grad_()
    cross_scan(*inputs).sum().backward()
    assert inputs[4].grad is not None
    assert inputs[0].grad is None


def test_gradients_by_finite_differences():
    inputs = in_fp64(map_inputs(height=2, width=3, channels=2, states=2))
    assert torch.autograd.gradcheck(cross_scan, inputs)


def test_gradients_of_a_sequence_by_finite_differences():
    inputs = in_fp64(sequence_inputs(batch=1, channels=2, length=4, groups=2))
    assert torch.autograd.gradcheck(functools.partial(selective_scan, delta_softplus=True), inputs)


def test_fp64_is_computed_in_fp64():
    inputs = in_fp64(map_inputs(height=4, width=CHUNK))
    assert_equal_to_reference(cross_scan, cross_scan_reference, inputs, tolerance=1e-13)


@pytest.mark.parametrize("scanned_before", [False, True])
def test_torch_compile_does_not_trace_into_the_scan(scanned_before):
    inputs = map_inputs(channels=LANES)

    def double(*values):
        return 2 * cross_scan(*values)

    if scanned_before:
        double(*inputs)
    compiled = output_and_gradients(torch.compile(double, backend="aot_eager"), inputs)
    for one, other in zip(compiled, output_and_gradients(double, inputs), strict=True):
        assert torch.equal(one, other)


def test_kernels_are_compiled_again_after_a_change_in_any_file(tmp_path):
    """An updated package must not run what numba compiled from the version before it."""
    package = Path(lung_srad_plugin.__file__).parent
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import torch; from lung_srad_plugin import selective_scan; one = torch.ones(1, 1, 1); "
        "print(selective_scan(one, 0 * one, -one[0], one, one, delta_softplus=True).item())"
    )

    def run():
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=240)
        return float(done.stdout), "Compiling the scan" in done.stderr

    assert run() == (pytest.approx(math.log(2)), True)
    assert run() == (pytest.approx(math.log(2)), False)
    maths = tmp_path / package.name / "scan" / "cpu" / "maths.py"
    text = maths.read_text(encoding="utf-8")
    changed = text.replace("at_least(d, _ZERO)", "at_least(d, _ONE)")
    assert changed != text
    maths.write_text(changed, encoding="utf-8")
    assert run() == (pytest.approx(math.log(2) + 1), True)
