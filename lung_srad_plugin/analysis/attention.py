"""The mixing matrix of an attention layer: its attention weights, averaged over heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

from lung_srad_plugin.errors import LungSRADError

if TYPE_CHECKING:
    from typing_extensions import TypeIs


class Attention(Protocol):
    """An attention layer whose weights can be computed from its input: what transformers' encoders are made of.

    Attributes
    ----------
    q_proj, k_proj : torch.nn.Module
        From tokens (B, tokens, C) to the queries and keys of all heads, (B, tokens, heads * head_dim).
    num_attention_heads, head_dim : int
    scaling : float
        Of the products of queries and keys, before the softmax.
    """

    q_proj: torch.nn.Module
    k_proj: torch.nn.Module
    num_attention_heads: int
    head_dim: int
    scaling: float


def is_attention(layer: Any) -> TypeIs[Attention]:
    """Say whether a layer has the attributes of ``Attention``.

    Those of a torch module are found by asking for them alone: from Python 3.12 on, ``isinstance`` with a protocol does
    not see its layers.

    Example
    -------
    >>> is_attention(torch.nn.Linear(2, 2))
    False
    """
    return all(hasattr(layer, name) for name in Attention.__annotations__)


def attention_mixing(layer: Attention, u: torch.Tensor, rows: tuple[int, int], max_bytes: int) -> torch.Tensor:
    """Return the attention weights of a layer, averaged over its heads.

    The values that a layer mixes are other projections of its input in each head; what the weights say is how much of
    each position reaches each other one. Every row sums to 1.

    Arguments
    ---------
    layer : Attention
    u : torch.Tensor
        Its input: tokens (B,L,C), class tokens and the like included; or a map (B,H,W,C), read row by row.
    rows : (int, int)
        First output position and the one after the last.
    max_bytes : int
        Most memory to use; a larger request is refused.

    Returns
    -------
    torch.Tensor
        (B, 1, rows, L), fp32, or fp64 where ``u`` is fp64.

    Raises
    ------
    LungSRADError
        Where the shape of ``u`` does not fit, or more memory is needed; the message says how much.
    """
    tokens = u.flatten(1, 2) if u.dim() == 4 else u
    dim = getattr(layer.q_proj, "in_features", tokens.shape[-1])
    if tokens.dim() != 3 or tokens.shape[-1] != dim or 0 in tokens.shape:
        raise LungSRADError(
            f"u has shape {tuple(u.shape)}; expected tokens (batch, L, {dim}) or a map (batch, H, W, {dim})"
        )
    batch, length, _ = tokens.shape
    heads = layer.num_attention_heads
    needed = batch * (heads + 1) * (rows[1] - rows[0]) * length * tokens.itemsize
    if needed > max_bytes:
        shape = (batch, heads, rows[1] - rows[0], length)
        raise LungSRADError(
            f"attention weights of shape {shape} need {needed:,} bytes, more than max_bytes={max_bytes:,}; take fewer "
            "clips, rows=(first, stop) in blocks, or raise max_bytes"
        )
    by_head = (batch, -1, heads, layer.head_dim)
    query = layer.q_proj(tokens[:, slice(*rows)]).view(by_head).transpose(1, 2)
    key = layer.k_proj(tokens).view(by_head).transpose(1, 2)
    return torch.softmax(query @ key.mT * layer.scaling, dim=-1).mean(dim=1, keepdim=True)
