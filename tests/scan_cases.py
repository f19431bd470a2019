"""Inputs for the tests of the scan backends, and a comparison of outputs and gradients with the reference."""

import torch

NAMES = ("x", "delta", "B", "C", "A", "D", "delta_bias")


def map_inputs(batch=1, height=3, width=4, channels=5, states=1, seed=0):
    """Random inputs of ``cross_scan``, all needing gradients."""
    torch.manual_seed(seed)
    positions = (batch, height, width)
    inputs = (
        torch.randn(*positions, channels),
        2 * torch.randn(*positions, 4, channels),
        torch.randn(*positions, 4, states),
        torch.randn(*positions, 4, states),
        -2 * torch.rand(4, channels, states),
        torch.randn(4, channels),
        torch.randn(4, channels),
    )
    return [value.requires_grad_() for value in inputs]


def sequence_inputs(batch=2, channels=6, length=7, states=2, groups=1, seed=0):
    """Random inputs of ``selective_scan``, all needing gradients."""
    torch.manual_seed(seed)
    inputs = (
        torch.randn(batch, channels, length),
        torch.randn(batch, channels, length),
        -2 * torch.rand(channels, states),
        torch.randn(batch, groups, states, length),
        torch.randn(batch, groups, states, length),
        torch.randn(channels),
        torch.randn(channels),
    )
    return [value.requires_grad_() for value in inputs]


def in_fp64(inputs):
    return [value.detach().double().requires_grad_() for value in inputs]


def output_and_gradients(scan, inputs):
    """Return the output and the gradient of a fixed random weighting of it, for every input."""
    y = scan(*inputs)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y)
    return [y.detach(), *torch.autograd.grad((y * weight).sum(), inputs)]


def assert_equal_to_reference(scan, reference, inputs, tolerance=1e-5):
    """Compare output and gradients in fp32 with the reference in fp64, relative to the size of each."""
    ours, expected = output_and_gradients(scan, inputs), output_and_gradients(reference, in_fp64(inputs))
    for name, our, theirs in zip(("output", *range(len(inputs))), ours, expected, strict=True):
        assert our.isfinite().all(), f"{name}: not finite"
        assert (our - theirs).norm() <= tolerance * theirs.norm() + 1e-30, f"{name}: differs from the reference"
