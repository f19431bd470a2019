"""The public functions of the selective scan: they check their arguments and call a backend."""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.reference import cross_scan_reference, selective_scan_reference

BACKENDS = ("reference", "cpu", "triton", "mamba")
# Scans maps in operators that torch.onnx can write. It is slower than the others and serves export alone, so it is
# used where it is named and not listed.
ONNX = "onnx"


def available_scan_backends() -> tuple[str, ...]:
    """Return the names of the backends that work on this machine.

    Returns
    -------
    tuple of str
        Some of ``reference`` (the definition, step by step, anywhere), ``cpu`` (compiled for this processor by numba),
        ``triton`` (NVIDIA GPU, or any machine where ``TRITON_INTERPRET=1`` is set) and ``mamba`` (the kernel of
        ``mamba_ssm``, NVIDIA GPU).

    Example
    -------
    >>> available_scan_backends()[:2]
    ('reference', 'cpu')
    """
    return tuple(name for name in BACKENDS if _obstacle(name) is None)


def selective_scan(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    backend: str | None = None,
) -> torch.Tensor:
    """Scan a sequence; arguments and shapes are those of ``mamba_ssm``'s ``selective_scan_fn``.

    ``h[t] = exp(delta[t] A) h[t-1] + delta[t] B[t] u[t]`` and ``y[t] = C[t] . h[t] + D u[t]`` (Gu and Dao 2023, arXiv
    2312.00752, section 3). The recurrence runs in fp32 whatever the inputs' type, and in fp64 where they are fp64.

    Arguments
    ---------
    u, delta : torch.Tensor
        Input and step size, (batch, channels, L).
    A : torch.Tensor
        Decay, (channels, N); negative for a stable scan.
    B, C : torch.Tensor
        Write and read vectors, (batch, G, N, L), each shared by ``channels / G`` neighbouring channels; or
        (batch, N, L), one group.
    D : torch.Tensor, optional
        Weight of the input in the output, (channels,).
    delta_bias : torch.Tensor, optional
        Added to ``delta`` before anything else, (channels,).
    delta_softplus : bool
        Whether ``delta`` then goes through ``softplus``.
    backend : str, optional
        One of ``available_scan_backends()``; ``None`` takes ``cpu`` for tensors on the CPU and ``triton`` for tensors
        on a GPU. A named backend is used or refused, never replaced.

    Returns
    -------
    torch.Tensor
        (batch, channels, L), in the type of ``u``.

    Raises
    ------
    LungSRADError
        Where a shape or type does not fit, or the backend cannot serve these tensors.

    Example
    -------
    >>> u = torch.tensor([[[1.0, 0.0, 0.0]]])
    >>> one = torch.ones(1, 1, 3)
    >>> half = torch.tensor([[0.5]]).log()
    >>> selective_scan(u, one, half, one, one)
    tensor([[[1.0000, 0.5000, 0.2500]]])
    """
    _check_rank("u", u, 3, "(batch, channels, L)")
    batch, channels, length = u.shape
    states = A.shape[1] if A.dim() == 2 else "N"
    expected = {
        "u": (u, (batch, channels, length)),
        "delta": (delta, (batch, channels, length)),
        "A": (A, (channels, states)),
        "B": (B, (batch, states, length) if B.dim() == 3 else (batch, "G", states, length)),
        "C": (C, tuple(B.shape)),
        "D": (D, (channels,)),
        "delta_bias": (delta_bias, (channels,)),
    }
    _check(expected)
    if B.dim() == 4 and channels % B.shape[1]:
        raise LungSRADError(f"B has {B.shape[1]} groups, which do not divide the {channels} channels of u")
    name = _select(backend, u)
    if name == ONNX:
        raise LungSRADError("backend 'onnx' scans maps (cross_scan), not sequences; name another for selective_scan")
    scan = selective_scan_reference if name == "reference" else _load(name, "selective_scan")
    return scan(u, delta, A, B, C, D, delta_bias, delta_softplus)


def cross_scan(
    x: torch.Tensor,
    delta: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    A: torch.Tensor,
    D: torch.Tensor,
    delta_bias: torch.Tensor,
    backend: str | None = None,
) -> torch.Tensor:
    """Scan a map along the four traversals of SS2D and add up the outputs (VMamba, arXiv 2401.10166, section 4.2).

    The traversals: 0 row by row (along W, then H), 1 column by column (along H, then W), 2 and 3 the same two from the
    last position to the first. Everything is given by position in the map, whatever the traversal, so that nothing is
    flipped or transposed.

    Arguments
    ---------
    x : torch.Tensor
        Map, channels last, (batch, H, W, channels).
    delta : torch.Tensor
        Step size before bias and softplus, (batch, H, W, 4, channels).
    B, C : torch.Tensor
        Write and read vectors, (batch, H, W, 4, N).
    A : torch.Tensor
        Decay, negative, (4, channels, N).
    D, delta_bias : torch.Tensor
        Weight of the input in the output, and what is added to ``delta``, (4, channels).
    backend : str, optional
        As in ``selective_scan``.

    Returns
    -------
    torch.Tensor
        (batch, H, W, channels), in the type of ``x``.

    Raises
    ------
    LungSRADError
        Where a shape or type does not fit, or the backend cannot serve these tensors.

    Example
    -------
    >>> x = torch.ones(1, 1, 2, 1)
    >>> ones = torch.ones(1, 1, 2, 4, 1)
    >>> keep, step_of_one = torch.full((4, 1, 1), -1e-9), torch.full((4, 1), 1.0).expm1().log() - 1
    >>> cross_scan(x, ones, ones, ones, keep, torch.zeros(4, 1), step_of_one).flatten()
    tensor([6., 6.])
    """
    _check_map(x, delta, None, None, B, C, A, D, delta_bias)
    name = _select(backend, x)
    scan = cross_scan_reference if name == "reference" else _load(name, "cross_scan")
    return scan(x, delta, B, C, A, D, delta_bias)


def cross_scan_projected(
    x: torch.Tensor,
    dt: torch.Tensor,
    dt_weight: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    A: torch.Tensor,
    D: torch.Tensor,
    delta_bias: torch.Tensor,
    backend: str | None = None,
) -> torch.Tensor:
    """``cross_scan`` with step sizes of low rank, ``delta[..., k, :] = dt_weight[k] @ dt[..., k, :]``.

    This is how SS2D computes them. The ``cpu`` backend multiplies inside its kernels, so that ``delta``, four times as
    large as the map, is never in memory, neither in the forward nor in the backward pass; the others multiply first,
    ``onnx`` in the order of the scan.

    Arguments
    ---------
    x : torch.Tensor
        Map, channels last, (batch, H, W, channels).
    dt : torch.Tensor
        (batch, H, W, 4, rank).
    dt_weight : torch.Tensor
        (4, channels, rank).
    B, C, A, D, delta_bias : torch.Tensor
        As in ``cross_scan``.
    backend : str, optional
        As in ``selective_scan``.

    Returns
    -------
    torch.Tensor
        (batch, H, W, channels), in the type of ``x``.

    Raises
    ------
    LungSRADError
        Where a shape or type does not fit, or the backend cannot serve these tensors.

    Example
    -------
    >>> x, dt, dt_weight = torch.ones(1, 1, 2, 1), torch.ones(1, 1, 2, 4, 3), torch.full((4, 1, 3), 1 / 3)
    >>> ones, keep = torch.ones(1, 1, 2, 4, 1), torch.full((4, 1, 1), -1e-9)
    >>> step_of_one = torch.full((4, 1), 1.0).expm1().log() - 1
    >>> cross_scan_projected(x, dt, dt_weight, ones, ones, keep, torch.zeros(4, 1), step_of_one).flatten()
    tensor([6., 6.])
    """
    _check_map(x, None, dt, dt_weight, B, C, A, D, delta_bias)
    name = _select(backend, x)
    if name in ("cpu", ONNX):
        return _load(name, "cross_scan_projected")(x, dt, dt_weight, B, C, A, D, delta_bias)
    delta = torch.einsum("bhwkr,kcr->bhwkc", dt, dt_weight)
    return cross_scan(x, delta, B, C, A, D, delta_bias, backend=name)


def _check_map(x, delta, dt, dt_weight, B, C, A, D, delta_bias):
    _check_rank("x", x, 4, "(batch, H, W, channels)")
    positions, channels = tuple(x.shape[:3]), x.shape[3]
    states = A.shape[2] if A.dim() == 3 else "N"
    rank = dt_weight.shape[-1] if dt_weight is not None else None
    _check(
        {
            "x": (x, (*positions, channels)),
            "delta": (delta, (*positions, 4, channels)),
            "dt": (dt, (*positions, 4, rank)),
            "dt_weight": (dt_weight, (4, channels, rank)),
            "B": (B, (*positions, 4, states)),
            "C": (C, (*positions, 4, states)),
            "A": (A, (4, channels, states)),
            "D": (D, (4, channels)),
            "delta_bias": (delta_bias, (4, channels)),
        }
    )


def _select(backend, tensor):
    """Return the backend that was named, or where none was, the one for the tensor's device."""
    device = tensor.device.type
    if backend is None:
        if device not in ("cpu", "cuda"):
            raise LungSRADError(f"no scan for tensors on '{device}'; move them to 'cpu' or 'cuda', or name 'reference'")
        backend = "cpu" if device == "cpu" else "triton"
    if backend == ONNX:
        return backend
    if backend not in BACKENDS:
        raise LungSRADError(f"backend {backend!r} is unknown; expected None or one of {', '.join(BACKENDS)}")
    obstacle = _obstacle(backend)
    if obstacle:
        raise LungSRADError(f"backend '{backend}' cannot be used: {obstacle}")
    serves = {
        "reference": True,
        "cpu": device == "cpu",
        "triton": device == "cuda" or (device == "cpu" and _interpreting()),
        "mamba": device == "cuda",
    }
    if not serves[backend]:
        where = "the CPU" if backend == "cpu" else "an NVIDIA GPU"
        raise LungSRADError(f"backend '{backend}' works on {where}, the tensors are on '{device}'; move them")
    return backend


def _obstacle(backend):
    """Return why a backend cannot work on this machine, with the cure; None where it can."""
    if backend == "triton":
        if find_spec("triton") is None:
            return "triton is not installed; pip install triton, which comes with torch for NVIDIA GPUs on Linux"
        if not (torch.cuda.is_available() or _interpreting()):
            return "there is no NVIDIA GPU here; use 'cpu' (TRITON_INTERPRET=1, set before Python starts, allows tests)"
    if backend == "mamba":
        if find_spec("mamba_ssm") is None:
            return 'mamba_ssm is not installed; pip install "lung-srad[cuda]"'
        if not torch.cuda.is_available():
            return "there is no NVIDIA GPU here; use 'cpu'"
    return None


def _interpreting():
    return os.environ.get("TRITON_INTERPRET") == "1"


def _load(backend, function):
    # Imported on first use: numba and triton take a second or two to import.
    found = getattr(import_module(f"lung_srad_plugin.scan.{backend}"), f"{function}_{backend}")
    # torch.compile must not trace into kernels that are compiled already. What prevents it imports torch._dynamo,
    # which takes a second, so it is called only where that is loaded. The exporter must trace the ONNX scan.
    return _opaque(found) if "torch._dynamo" in sys.modules and backend != ONNX else found


@cache
def _opaque(function):
    return torch.compiler.disable(function)


def _check_rank(name, tensor, rank, shape):
    if tensor.dim() != rank:
        raise LungSRADError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")


def _check(expected):
    """Refuse tensors of another shape, type or device than expected; a letter stands for any size above 0."""
    first_name, (first, _) = next(iter(expected.items()))
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            continue
        if len(tensor.shape) != len(shape) or any(
            size == 0 or (size != wanted and not isinstance(wanted, str))
            for size, wanted in zip(tensor.shape, shape, strict=True)
        ):
            wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
            raise LungSRADError(f"{name} has shape {tuple(tensor.shape)}; expected ({wanted}), no size 0")
        if not tensor.is_floating_point():
            raise LungSRADError(f"{name} has type {tensor.dtype}; expected real floating-point numbers")
        if tensor.device != first.device:
            raise LungSRADError(f"{name} is on '{tensor.device}', {first_name} on '{first.device}'; move it there")
