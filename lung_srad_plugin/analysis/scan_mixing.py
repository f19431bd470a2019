"""The mixing matrices of a layer: how much of each position its scan or its attention carries to each other one."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lung_srad_plugin.analysis.attention import Attention, attention_mixing, is_attention
from lung_srad_plugin.analysis.smoothing import smooth_mixing
from lung_srad_plugin.encoders.dass.ss2d import DIRECTIONS, SS2D
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.gaussian import GaussianSmoothed
from lung_srad_plugin.scan.reference import traversals, widest

# Buffers of so many bytes are computed at a time; they stay in cache.
_BUFFER_BYTES = 4 * 2**20


@torch.no_grad()
def scan_mixing(
    layer: SS2D | Attention | GaussianSmoothed,
    u: torch.Tensor,
    channels: Sequence[int] | None = None,
    traversal: int | None = None,
    rows: tuple[int, int] | None = None,
    max_bytes: int = 2 * 2**30,
) -> torch.Tensor:
    """Return the matrices that the scan of an SS2D layer multiplies its input with, exactly; or attention weights.

    Given its step sizes, ``B`` and ``C``, which it computes from the same input, the scan is linear in ``u``, each
    channel apart. Along one traversal the recurrence ``h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] u[t]``,
    ``y[t] = C[t] . h[t] + D u[t]`` has the matrix

        M[t, s] = sum over states of C[t] exp(A (dt[s+1] + ... + dt[t])) dt[s] B[s] for s <= t, plus D where s = t,

    and 0 for s > t. Positions are numbered in image order, row by row (p = h W + w), whatever the traversal, so that
    matrices of traversals can be added: ``mixing @ u`` of a channel is ``layer.scan(u)`` of that channel.

    Of an attention layer, such as those of transformers' ``ASTModel``, the one matrix is its attention weights,
    averaged over heads.

    A mixing matrix is not all that a block does: the convolution, norm, MLP and residual sum around the scan are not in
    it. ``block_response`` measures the whole block.

    Arguments
    ---------
    layer : SS2D, Attention or GaussianSmoothed
        Its own output norm and projection are not included. A smoothed layer gives the smoothing's matrix times the
        scan's: ``mixing @ u`` is then the smoothed ``layer.module.scan(u)``.
    u : torch.Tensor
        What ``layer.scan`` takes, (B,H,W,C). What an attention layer takes, tokens (B,L,C), or a map (B,H,W,C) of them.
    channels : sequence of int or None
        Which channels; None for all, and for attention.
    traversal : int or None
        One of the four: 0 row by row, 1 column by column, 2 and 3 the same two backwards. None for their sum, and for
        attention.
    rows : (int, int) or None
        First output position and the one after the last; None for all L. The input positions are always all.
    max_bytes : int
        Most memory to use; a larger request is refused.

    Returns
    -------
    torch.Tensor
        (B, channels, rows, L) with L = H W, output by input position, fp32, or fp64 where ``u`` is fp64. One channel of
        attention.

    Raises
    ------
    LungSRADError
        Where the layer is neither SS2D nor attention, an argument does not fit, or more memory is
        needed; the message says how much.

    Example
    -------
    >>> layer, u = SS2D(16), torch.randn(1, 3, 4, 16)
    >>> mixing = scan_mixing(layer, u)
    >>> mixing.shape
    torch.Size([1, 16, 12, 12])
    >>> y = (mixing @ u.flatten(1, 2).mT.unsqueeze(-1)).squeeze(-1)
    >>> bool(torch.allclose(y.mT.view(u.shape), layer.scan(u), rtol=1e-4, atol=1e-4))
    True
    """
    smoothing = layer if isinstance(layer, GaussianSmoothed) else None
    mixer = layer if smoothing is None else smoothing.module
    selected, chosen, (start, stop) = check_request(mixer, u, channels, traversal, rows, smoothed=smoothing is not None)
    batch, length = len(u), u.shape[1:-1].numel()
    first, last = start, stop
    if smoothing is not None:  # the map's rows that the smoothing takes in
        width, margin = u.shape[2], smoothing.kernel_size // 2
        first = max(0, start // width - margin) * width
        last = min(length, ((stop - 1) // width + 1 + margin) * width)
    if is_attention(mixer):
        mixing = attention_mixing(mixer, u, (first, last), max_bytes)
    else:
        shape = (batch, len(selected), stop - start, length)
        copies = 1 if smoothing is None else 2
        needed = batch * len(selected) * (last - first) * length * widest(u).itemsize * copies + _BUFFER_BYTES
        if needed > max_bytes:
            raise LungSRADError(
                f"scan_mixing of shape {shape} needs {needed:,} bytes, more than max_bytes={max_bytes:,}; take fewer "
                "channels or clips, rows=(first, stop) in blocks, or raise max_bytes"
            )
        mixing = _mix(mixer, u, selected, chosen, first, last)
    if smoothing is None:
        return mixing
    smoothed = smooth_mixing(mixing, width, smoothing.kernel_size, smoothing.sigma, smoothing.padding)
    return smoothed[:, :, start - first : stop - first]


def _mix(layer, u, selected, chosen, start, stop):
    """Return the rows from ``start`` to ``stop`` of the matrices of these channels, summed over these traversals."""
    batch, height, width, _ = u.shape
    length = height * width
    kind = widest(u)
    steps, sums, B, C, A, D = recurrence(layer, u, selected, kind)
    step_of_position = traversals(height, width, device=u.device).argsort(dim=1)
    index = torch.arange(stop - start, device=u.device)
    mixing = torch.zeros(batch, len(selected), stop - start, length, dtype=kind, device=u.device)
    block = max(1, _BUFFER_BYTES // (len(selected) * length * 3 * torch.float64.itemsize))
    for b in range(batch):
        for k in chosen:
            for first in range(start, stop, block):
                last = min(first + block, stop)
                # Before the exponential, since what lies ahead in the traversal would overflow.
                earlier = step_of_position[k] <= step_of_position[k, first:last, None]
                between = (sums[b, k, :, first:last, None] - sums[b, k, :, None, :]).where(earlier, 0).to(kind)
                part = mixing[b, :, first - start : last - start]
                for n in range(layer.d_state):
                    decay = torch.exp(between * A[k, :, n, None, None])
                    written = steps[b, k] * B[b, k, n]
                    part += (decay * C[b, k, n, first:last, None] * written.unsqueeze(1)).where(earlier, 0)
            mixing[b, :, index, start + index] += D[k, :, None]
    return mixing


def recurrence(layer, u, selected, kind):
    """Return, by position: steps and their sums along each traversal (B,4,channels,L), the sums in fp64, B and C
    (B,4,N,L), A (4,channels,N), D (4,channels)."""
    _, dt, dt_weight, B, C, A, D, bias = layer.scan_inputs(u)
    dt, B, C = (value.flatten(1, 2).permute(0, 2, 3, 1).to(kind) for value in (dt, B, C))
    weight, A, D, bias = (value[:, selected].to(kind) for value in (dt_weight, A, D, bias))
    steps = F.softplus(weight @ dt + bias[..., None])
    order = traversals(u.shape[1], u.shape[2], device=u.device)
    sums = torch.empty_like(steps, dtype=torch.float64)
    for k in range(DIRECTIONS):
        sums[:, k, :, order[k]] = steps[:, k, :, order[k]].double().cumsum(dim=-1)
    return steps, sums, B, C, A, D


def check_request(layer, u, channels, traversal, rows, smoothed=False):
    """Return the channels and traversals as lists, and the bounds of the rows.

    Raises
    ------
    LungSRADError
        Where one of them does not fit the layer and its input.
    """
    attention = is_attention(layer)
    if not attention and not isinstance(layer, SS2D):
        raise LungSRADError(
            f"scan_mixing of {type(layer).__name__}: expected an SS2D layer, the 'ss2d' map of a block, or "
            "attention with q_proj, k_proj, num_attention_heads, head_dim and scaling"
        )
    if attention and (channels is not None or traversal is not None):
        raise LungSRADError(
            "channels and traversal are of SS2D layers; attention has one matrix, the mean of its heads"
        )
    if attention and u.dim() != 4 and smoothed:
        raise LungSRADError(f"u has shape {tuple(u.shape)}; smoothing needs a map, (batch, H, W, channels)")
    dim = None if attention else layer.Ds.numel() // DIRECTIONS
    if not attention and (u.dim() != 4 or u.shape[-1] != dim or 0 in u.shape):
        raise LungSRADError(f"u has shape {tuple(u.shape)}; expected (batch, H, W, {dim}), what the layer scans")
    selected = None if attention else list(range(dim)) if channels is None else list(channels)
    if selected is not None and (not selected or not set(selected) <= set(range(dim))):
        raise LungSRADError(f"channels={selected}: expected some of 0 to {dim - 1}")
    if traversal is not None and traversal not in range(DIRECTIONS):
        raise LungSRADError(f"traversal={traversal}: expected 0 to {DIRECTIONS - 1}, or None for the sum of all")
    length = u.shape[1:-1].numel()
    start, stop = (0, length) if rows is None else rows
    if not 0 <= start < stop <= length:
        raise LungSRADError(f"rows={rows}: expected (first, stop) within the {length} positions")
    return selected, range(DIRECTIONS) if traversal is None else [traversal], (start, stop)
