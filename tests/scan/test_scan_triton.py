"""The Triton kernels: in Triton's interpreter on a CPU, in a separate process, and on a GPU where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scan_cases import assert_equal_to_reference, map_inputs, output_and_gradients, sequence_inputs

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.dispatch import available_scan_backends, cross_scan, selective_scan
from lung_srad_plugin.scan.reference import cross_scan_reference, selective_scan_reference

pytest.importorskip("triton", reason="triton is only made for Linux")


def run_interpreted():
    """Compare with the reference; called in a process where TRITON_INTERPRET was set before triton was imported."""
    from lung_srad_plugin.scan import triton as kernels

    torch.set_num_threads(1)
    # Small tiles, so that a small map has several of them: the interpreter is slow.
    kernels.TILE = kernels.CHANNELS = 4

    def over_maps(*inputs):
        return cross_scan(*inputs, backend="triton")

    def over_sequences(*inputs):
        return selective_scan(*inputs, delta_softplus=True, backend="triton")

    def sequence_reference(*inputs):
        return selective_scan_reference(*inputs, delta_softplus=True)

    for sizes in ({"height": 1, "width": 1}, {"height": 3, "width": 3, "channels": 6}, {"height": 1, "states": 2}):
        assert_equal_to_reference(over_maps, cross_scan_reference, map_inputs(**sizes))
    assert_equal_to_reference(over_sequences, sequence_reference, sequence_inputs(batch=1, channels=4, groups=2))

    extreme = map_inputs(height=2, width=3, channels=3)
    with torch.no_grad():
        extreme[1].view(-1)[::2] = 300.0
        extreme[1].view(-1)[1::3] = -300.0
    assert_equal_to_reference(over_maps, cross_scan_reference, extreme)

    narrow = [value.detach().bfloat16() for value in map_inputs(height=2, width=3)]
    expected = cross_scan_reference(*(value.float() for value in narrow))
    assert (over_maps(*narrow).float() - expected).norm() <= torch.finfo(torch.bfloat16).eps * expected.norm()

    inputs = map_inputs(height=2, width=3)
    first, again = output_and_gradients(over_maps, inputs), output_and_gradients(over_maps, inputs)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))

    try:
        over_maps(*(value.double() for value in inputs))
    except LungSRADError as error:
        assert "fp32" in str(error)
    else:
        raise AssertionError("fp64 was not refused")


def test_interpreted_kernels_equal_the_reference():
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", "import test_scan_triton; test_scan_triton.run_interpreted()"],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(here), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("kernel", ["_forward", "_backward"])
def test_kernels_compile_without_a_gpu(kernel):
    from triton import compile as compile_kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from lung_srad_plugin.scan import triton as kernels

    sizes = {*kernels._SIZES, "channels"}
    constants = {"SOFTPLUS": True, "TILE": kernels.TILE, "CHANNELS": kernels.CHANNELS}
    function = getattr(kernels, kernel)
    types = {name: "i32" if name in sizes else "*fp32" for name in function.arg_names}
    types.update(dict.fromkeys(constants, "constexpr"))
    compiled = compile_kernel(ASTSource(function, types, constants), target=GPUTarget("cuda", 90, 32))
    assert "ld.global" in compiled.asm["ptx"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("backend", ["triton", "mamba"])
@pytest.mark.parametrize(
    "sizes",
    [
        {"height": 1, "width": 1},
        {"batch": 2, "height": 8, "width": 64, "channels": 384},
        {"batch": 2, "height": 33, "width": 5, "channels": 17, "states": 3},
    ],
    ids=str,
)
def test_on_a_gpu_equals_the_reference(backend, sizes):
    if backend not in available_scan_backends():
        pytest.skip(f"'{backend}' is not available here")
    inputs = [value.detach().cuda().requires_grad_() for value in map_inputs(**sizes)]
    assert_equal_to_reference(
        lambda *given: cross_scan(*given, backend=backend), cross_scan_reference, inputs, tolerance=1e-5
    )
