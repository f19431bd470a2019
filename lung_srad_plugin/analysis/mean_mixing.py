"""The mean over channels of a layer's mixing matrices, without computing the matrix of each channel."""

from collections.abc import Sequence

import torch

from lung_srad_plugin.analysis.attention import Attention, attention_mixing, is_attention
from lung_srad_plugin.analysis.scan_mixing import check_request, recurrence
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.reference import traversals, widest


@torch.no_grad()
def mean_mixing(
    layer: SS2D | Attention, u: torch.Tensor, channels: Sequence[int] | None = None, max_bytes: int = 2 * 2**30
) -> torch.Tensor:
    """Return ``scan_mixing(layer, u, channels).mean(dim=1)``, faster and in the memory of a few matrices.

    All channels of an SS2D layer share ``B`` and ``C`` and differ in how fast they forget. For a position r between s
    and t of a traversal, the decay from s to t is the product of those from s to r and from r to t, neither above 1, so
    the sum over channels is a product of two matrices (positions, channels). Only pairs of positions that are close
    together are computed one by one.

    Arguments
    ---------
    layer : SS2D or Attention
    u : torch.Tensor
        As for ``scan_mixing``.
    channels : sequence of int or None
        Which channels of an SS2D layer to average; None for all.
    max_bytes : int
        Most memory to use; a larger request is refused.

    Returns
    -------
    torch.Tensor
        (B,L,L): output by input position.

    Raises
    ------
    LungSRADError
        As ``scan_mixing``.

    Example
    -------
    >>> from lung_srad_plugin.analysis.scan_mixing import scan_mixing
    >>> layer, u = SS2D(16), torch.randn(1, 3, 4, 16)
    >>> bool(torch.allclose(mean_mixing(layer, u), scan_mixing(layer, u).mean(dim=1), rtol=1e-4, atol=1e-6))
    True
    """
    if is_attention(layer):
        length = u.shape[1:-1].numel()
        return attention_mixing(layer, u, (0, length), max_bytes).squeeze(1)
    selected, _, _ = check_request(layer, u, channels, None, None)
    batch, height, width, _ = u.shape
    length, kind = height * width, widest(u)
    chunk = max(8, int((length / 2) ** 0.5))
    # The result, one traversal and its two reorderings; the recurrence; and the pairs of a chunk, in fp64 at first.
    needed = (batch + 3) * length**2 * kind.itemsize
    needed += len(selected) * (4 * batch * length * 24 + chunk**2 * 24)
    if needed > max_bytes:
        raise LungSRADError(
            f"mean_mixing of shape {(batch, length, length)} needs {needed:,} bytes, more than "
            f"max_bytes={max_bytes:,}; take fewer clips or channels, or raise max_bytes"
        )
    steps, sums, B, C, A, D = recurrence(layer, u, selected, kind)
    mean = torch.zeros(batch, length, length, dtype=kind, device=u.device)
    for k, order in enumerate(traversals(height, width, device=u.device)):
        step_of_position = order.argsort()
        for b in range(batch):
            in_order = torch.zeros(length, length, dtype=kind, device=u.device)
            for n in range(layer.d_state):
                written = B[b, k, n, order], C[b, k, n, order]
                _add_state(in_order, steps[b, k][:, order], sums[b, k][:, order], *written, A[k, :, n, None], chunk)
            mean[b] += in_order[step_of_position][:, step_of_position]
    mean /= len(selected)
    mean.diagonal(dim1=1, dim2=2).add_(D.sum(dim=0).mean())
    return mean


def _add_state(in_order, steps, sums, B, C, A, chunk):
    """Add one state's part, summed over channels, of the matrix (L,L) whose positions are in the traversal's order.

    steps, sums (channels,L); B, C (L,); A (channels,1).
    """
    length = len(B)
    # Of what each earlier position wrote, how much is left at the position before the chunk.
    left = torch.empty_like(steps)
    for first in range(0, length, chunk):
        rows = slice(first, min(first + chunk, length))
        own = sums[:, rows]
        between = (own[:, :, None] - own[:, None, :]).to(A.dtype)
        decay = (between.clamp_(min=0) * A[:, :, None]).exp_()  # what lies ahead would overflow, and is left out
        near = decay.mul_(steps[:, None, rows]).sum(dim=0).tril()
        in_order[rows, rows] += C[rows, None] * near * B[rows]
        if first:
            reached = torch.exp(A * (own - sums[:, first - 1, None]).to(A.dtype))
            in_order[rows, :first] += C[rows, None] * (reached.T @ left[:, :first]) * B[:first]
            last = sums[:, first - 1, None]
            left[:, :first] *= torch.exp(A * (own[:, -1:] - last).to(A.dtype))
        left[:, rows] = torch.exp(A * (own[:, -1:] - own).to(A.dtype)) * steps[:, rows]
