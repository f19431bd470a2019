"""The mixing map: the decision followed from the pooled output back, through every mixing matrix, to the features.

At one clip an encoder of SS2D layers is a product of matrices. Each scan multiplies its input with the mixing matrix
``scan_mixing`` returns; a GELU or SiLU multiplies each value with a factor, its share ``f(x) / x``; a LayerNorm divides
by a deviation; convolutions, linear layers, residual sums, downsampling and pooling are linear. The matrices, factors
and deviations are computed from the clip. Held at what they are there, the whole encoder is one affine map,

    logit = constant + sum over positions p of J[p] x[p],    exactly,

whose row J is the pooled output's row of the product of all matrices, taken together for the class that is explained.
The mixing map is ``J[p] (x[p] - baseline)``: what each position of the spectrogram adds to the log-odds beside the
baseline, the clip's mean level. Its sum is the difference of the affine map between clip and baseline.

What it leaves out: how matrices, factors and deviations would themselves change with the sound. It says where this
decision has its terms, not what the model would answer to another sound; removing cells and integrated gradients test
that. Log-odds weigh the other classes by their probabilities, which are held too. Whatever else an encoder computes
enters to first order.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lung_srad_plugin.analysis.decision import Decision, baseline
from lung_srad_plugin.encoders.base import ActivationMap, Encoder
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.dispatch import cross_scan_projected


def mixing_map(decision: Decision, feats: torch.Tensor) -> torch.Tensor:
    """Return the mixing map of features: what each position adds to the log-odds.

    Arguments
    ---------
    decision : Decision
        Its encoder has SS2D layers and is in evaluation mode.
    feats : torch.Tensor
        (B,T,F) normalised.

    Returns
    -------
    torch.Tensor
        (B,T,F)

    Raises
    ------
    LungSRADError
        Where the encoder has no SS2D layer.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> from lung_srad_plugin.nn.heads import LogClassifier
    >>> decision = Decision(DASSEncoder([1, 1], [8, 16]).eval(), LogClassifier(16, classes=4), classes=[2])
    >>> mixing_map(decision, torch.randn(1, 32, 16)).shape
    torch.Size([1, 32, 16])
    """
    layers = ss2d_layers(decision.encoder)
    inputs = feats.detach().clone().requires_grad_()
    with torch.enable_grad(), _held(layers.values()), _HeldFactors():
        (row,) = torch.autograd.grad(decision(inputs).sum(), inputs)
    return row * (feats - baseline(feats))


def block_mixing_map(decision: Decision, feats: torch.Tensor, activation_map: ActivationMap) -> torch.Tensor:
    """Return the map of one block's scan alone: what each position that it reads adds to the log-odds through it.

    With u the scan's input, M its mixing matrices and g the derivative of the log-odds by the scan's output,
    ``sum over channels of u[q] (g M)[q]`` at position q. Its sum over q is ``g . (M u)``, exactly. The way around the
    scan, through the residual sum, is left out, and what lies behind it is in g, to first order.

    Arguments
    ---------
    decision, feats
        As for ``mixing_map``.
    activation_map : ActivationMap
        An SS2D layer's, of ``encoder.activation_maps()``.

    Returns
    -------
    torch.Tensor
        (B,H,W) on the positions of the block.

    Raises
    ------
    LungSRADError
        Where this map of the encoder is not an SS2D layer's.
    """
    layers = ss2d_layers(decision.encoder)
    if activation_map not in layers:
        raise LungSRADError(f"{activation_map}: not the map of an SS2D layer; there are {', '.join(map(str, layers))}")
    read: list[torch.Tensor] = []
    with torch.enable_grad(), _held([layers[activation_map]], read):
        log_odds = decision(feats.detach().clone().requires_grad_()).sum()
        (row,) = torch.autograd.grad(log_odds, read[:1])
    return (read[0] * row).sum(dim=-1).detach()


def ss2d_layers(encoder: Encoder) -> dict[ActivationMap, SS2D]:
    """Return the SS2D layers of an encoder by their maps, with or without smoothing around them.

    Raises
    ------
    LungSRADError
        Where there is none.
    """
    layers = {}
    for activation_map in encoder.activation_maps():
        module: Any = encoder.map_module(activation_map)
        while not isinstance(module, SS2D) and isinstance(getattr(module, "module", None), torch.nn.Module):
            module = module.module
        if isinstance(module, SS2D):
            layers[activation_map] = module
    if not layers:
        raise LungSRADError(
            f"{type(encoder).__name__} has no SS2D layer, so there are no scans whose mixing could be followed back; "
            "use integrated gradients or occlusion (the methods gradients and occlusion)"
        )
    return layers


@contextlib.contextmanager
def _held(layers, read=None) -> Iterator[None]:
    """Let scans be linear in their input for the derivative: step sizes, B and C are constants. Notes their inputs."""
    layers = list(layers)

    def scan_of(layer):
        def scan(x):
            if read is not None:
                read.append(x)
            _, *constants = layer.scan_inputs(x)
            return cross_scan_projected(x, *(value.detach() for value in constants), backend=layer.scan_backend)

        return scan

    try:
        for layer in layers:
            layer.scan = scan_of(layer)
        yield
    finally:
        for layer in layers:
            del layer.scan  # the class has it


class _HeldFactors(TorchFunctionMode):
    """For the derivative, the factors of GELU and SiLU and the deviations of LayerNorm are constants."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.nn.functional.gelu, torch.nn.functional.silu):
            x = args[0]
            # Near 0 both are x/2; the quotient of two tiny numbers would be rounding.
            return x * torch.where(x.abs() > 1e-6, func(*args, **kwargs) / x, 0.5).detach()
        if func is torch.nn.functional.layer_norm:
            return _layer_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    centred = input - input.mean(dim=axes, keepdim=True)
    deviation = (centred.square().mean(dim=axes, keepdim=True) + eps).sqrt().detach()
    scaled = centred / deviation
    scaled = scaled if weight is None else scaled * weight
    return scaled if bias is None else scaled + bias
