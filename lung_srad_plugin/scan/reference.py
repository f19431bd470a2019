"""The selective scan and its two-dimensional form, written from their definitions: the slow reference of all backends.

Symbols, as in Mamba (Gu and Dao 2023, arXiv 2312.00752): the state ``h`` (N numbers a channel) follows
``h[t] = exp(delta[t] A) h[t-1] + delta[t] B[t] u[t]`` and is read as ``y[t] = C[t] . h[t] + D u[t]``. ``delta`` is the
step size, ``A`` the decay, ``B`` and ``C`` weight what is written and read, and ``D`` passes the input on.

VMamba (Liu et al. 2024, arXiv 2401.10166) scans a map along four traversals and adds up their outputs.
"""

from functools import reduce

import torch
import torch.nn.functional as F


def selective_scan_reference(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False):
    """Scan a sequence step by step, in fp32 (in fp64 where an input is fp64).

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

    Returns
    -------
    torch.Tensor
        (batch, channels, L), in the type of ``u``.

    Example
    -------
    >>> u = torch.tensor([[[1.0, 0.0, 0.0]]])
    >>> one = torch.ones(1, 1, 3)
    >>> half = torch.tensor([[0.5]]).log()
    >>> selective_scan_reference(u, one, half, one, one)
    tensor([[[1.0000, 0.5000, 0.2500]]])
    """
    wide = widest(u, delta)
    B, C = _per_channel(B, u.shape[1]), _per_channel(C, u.shape[1])
    x, dt, A, B, C = (value.to(wide) for value in (u, delta, A, B, C))
    if delta_bias is not None:
        dt = dt + delta_bias.to(wide)[:, None]
    if delta_softplus:
        dt = F.softplus(dt)

    h = x.new_zeros(*x.shape[:2], A.shape[1])
    outputs = []
    for t in range(x.shape[2]):
        h = torch.exp(dt[:, :, t, None] * A) * h + (dt[:, :, t] * x[:, :, t]).unsqueeze(-1) * B[..., t]
        outputs.append((h * C[..., t]).sum(-1))
    y = torch.stack(outputs, dim=-1)
    if D is not None:
        y = y + D.to(wide)[:, None] * x
    return y.to(u.dtype)


def cross_scan_reference(x, delta, B, C, A, D, delta_bias):
    """Scan a map along the four traversals of SS2D, one after the other, and add up the outputs.

    The traversals: 0 row by row (along W, then H), 1 column by column (along H, then W), 2 and 3 the same two from the
    last position to the first. Everything is given by position in the map, whatever the traversal.

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
        (4, channels).

    Returns
    -------
    torch.Tensor
        (batch, H, W, channels), in the type of ``x``.

    Example
    -------
    >>> x = torch.ones(1, 1, 2, 1)
    >>> ones = torch.ones(1, 1, 2, 4, 1)
    >>> keep, step_of_one = torch.full((4, 1, 1), -1e-9), torch.full((4, 1), 1.0).expm1().log() - 1
    >>> cross_scan_reference(x, ones, ones, ones, keep, torch.zeros(4, 1), step_of_one).flatten()
    tensor([6., 6.])
    """
    _, height, width, _ = x.shape
    # Widened first: the sum over traversals is taken in fp32 too.
    x_flat, delta_flat, B_flat, C_flat = (value.flatten(1, 2).to(widest(x, delta)) for value in (x, delta, B, C))
    total = 0
    for k, order in enumerate(traversals(height, width, device=x.device)):
        y = selective_scan_reference(
            x_flat[:, order].mT,
            delta_flat[:, order, k].mT,
            A[k],
            B_flat[:, order, k].mT,
            C_flat[:, order, k].mT,
            D[k],
            delta_bias[k],
            delta_softplus=True,
        )
        step_of_position = torch.empty_like(order)
        step_of_position[order] = torch.arange(len(order), device=x.device)
        total = total + y.mT[:, step_of_position]
    return total.view(x.shape).to(x.dtype)


def traversals(height, width, device=None):
    """Return the row-major positions of a map in the order of each traversal, (4, height * width).

    Example
    -------
    >>> traversals(2, 3)
    tensor([[0, 1, 2, 3, 4, 5],
            [0, 3, 1, 4, 2, 5],
            [5, 4, 3, 2, 1, 0],
            [5, 2, 4, 1, 3, 0]])
    """
    rows = torch.arange(height * width, device=device)
    columns = rows.view(height, width).t().flatten()
    return torch.stack([rows, columns, rows.flip(0), columns.flip(0)])


def widest(*tensors):
    """Return the type a scan of these computes in: fp32, or fp64 where one of them is fp64."""
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)


def _per_channel(vectors, channels):
    """Repeat each group's vectors for its channels: (batch, G, N, L) or (batch, N, L) -> (batch, channels, N, L)."""
    grouped = vectors.unsqueeze(1) if vectors.dim() == 3 else vectors
    return grouped.repeat_interleave(channels // grouped.shape[1], dim=1)
