"""Linear layers and convolutions together with the activation function that follows them.

Without gradients a CPU computes both in one call of oneDNN, which comes with torch: the values between them are then
neither written nor read. With gradients, on other devices, in other types and under ``torch.compile`` or export they
are the plain calls, and a layer's hooks are called. The two agree to rounding; in bf16 the fused one rounds less. A
layer that computes more than its weight says, such as one with an adapter, is always called.
"""

from functools import cache

import torch
import torch.nn.functional as F


def linear(layer, x):
    """``layer(x)`` of a ``torch.nn.Linear``.

    Example
    -------
    >>> linear(torch.nn.Linear(3, 2), torch.ones(5, 4, 3)).shape
    torch.Size([5, 4, 2])
    """
    dtype = _fused_type(x) if _is_plain(layer) else None
    return layer(x) if dtype is None else _linear(dtype, layer, x, "none", "")


def linear_gelu(layer, x):
    """GELU, the exact one, of ``layer(x)`` of a ``torch.nn.Linear``.

    Example
    -------
    >>> linear_gelu(torch.nn.Linear(3, 2), torch.ones(5, 4, 3)).shape
    torch.Size([5, 4, 2])
    """
    dtype = _fused_type(x) if _is_plain(layer) else None
    return F.gelu(layer(x)) if dtype is None else _linear(dtype, layer, x, "gelu", "none")


def conv_silu(layer, x):
    """SiLU of ``layer(x)`` of a ``torch.nn.Conv2d`` without bias.

    Example
    -------
    >>> conv_silu(torch.nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False), torch.ones(1, 2, 4, 5)).shape
    torch.Size([1, 2, 4, 5])
    """
    dtype = _fused_type(x) if _is_plain(layer) else None
    if dtype is None:
        return F.silu(layer(x))
    shape = layer.padding, layer.stride, layer.dilation, layer.groups
    weight = layer.weight.to(dtype)
    return torch.ops.mkldnn._convolution_pointwise(x.to(dtype), weight, None, *shape, "swish", [], "")


def _linear(dtype, layer, x, function, algorithm):
    bias = None if layer.bias is None else layer.bias.to(dtype)
    return torch.ops.mkldnn._linear_pointwise(x.to(dtype), layer.weight.to(dtype), bias, function, [], algorithm)


def _is_plain(layer):
    """Whether a layer computes what its weight and bias say, and nothing else."""
    return type(layer).forward in (torch.nn.Linear.forward, torch.nn.Conv2d.forward)


def _fused_type(x):
    """Return the type to compute in, autocast's where it is on, or None where the fused calls cannot be used."""
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype if dtype in _fused_types() else None


@cache
def _fused_types():
    if not torch.backends.mkldnn.is_available():
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)
