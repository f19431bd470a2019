"""The layers of an encoder that mix positions, by stage and block, and what passes through them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lung_srad_plugin.analysis.attention import Attention, is_attention
from lung_srad_plugin.encoders.base import ActivationMap, Encoder
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.gaussian import GaussianSmoothed


@dataclass(frozen=True)
class MixingLayer:
    """The layer of a block that mixes positions.

    Arguments
    ---------
    stage, block : int
        From 0.
    module : SS2D or Attention
    whole_block : torch.nn.Module
        The block around it.
    smoothing : GaussianSmoothed or None
        What smooths the layer's output, or else the block's; None where neither is smoothed.
    """

    stage: int
    block: int
    module: SS2D | Attention
    whole_block: torch.nn.Module
    smoothing: GaussianSmoothed | None

    @property
    def name(self) -> str:
        """``STAGE.BLOCK``, as on the command line."""
        return f"{self.stage}.{self.block}"


class Passed(NamedTuple):
    """What passed through a block with one clip.

    Arguments
    ---------
    u : torch.Tensor
        What the mixing layer mixes, (1,H,W,C), or the tokens of attention, (1,tokens,C).
    size : (int, int)
        (H,W).
    block_input, block_output : torch.Tensor
        Maps (1,C,H,W), or tokens (1,tokens,C) with those of the map last.
    """

    u: torch.Tensor
    size: tuple[int, int]
    block_input: torch.Tensor
    block_output: torch.Tensor


def mixing_layers(encoder: Encoder, blocks: Sequence[str] | None = None) -> list[MixingLayer]:
    """Return the mixing layer of each block of an encoder.

    A block has the SS2D or attention layer that is found among the modules of its map ``block``, or of what the method
    ``block_module`` returns for it, where the encoder has one: layers that take tokens are outside of the map.

    Arguments
    ---------
    encoder : Encoder
    blocks : sequence of str, optional
        Which: ``"2"`` is all of stage 2, ``"2.3"`` its block 3, both from 0. All by default.

    Returns
    -------
    list of MixingLayer
        In the order of the encoder.

    Raises
    ------
    LungSRADError
        Where the encoder has no such layers, a block does not exist, or blocks are not written so.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> [layer.name for layer in mixing_layers(DASSEncoder([1, 2], [16, 32]), blocks=["1"])]
    ['1.0', '1.1']
    """
    maps = encoder.activation_maps()
    found = [_mixing_layer(encoder, one, maps) for one in maps if one.target == "block"]
    layers = [layer for layer in found if layer is not None]
    if not layers:
        raise LungSRADError(
            f"{type(encoder).__name__}: none of its blocks has an SS2D or attention layer, so there is nothing whose "
            "mixing could be analysed; take a model with a DASS or attention encoder"
        )
    if blocks is None:
        return layers
    names = [{layer.name, str(layer.stage)} for layer in layers]
    unknown = [block for block in blocks if not any(block in known for known in names)]
    if unknown:
        stages = {layer.stage: max(other.block for other in layers if other.stage == layer.stage) for layer in layers}
        there = ", ".join(f"{stage}.0 to {stage}.{last}" for stage, last in stages.items())
        raise LungSRADError(
            f"blocks {', '.join(unknown)}: expected STAGE or STAGE.BLOCK, both from 0; the encoder has {there}"
        )
    return [layer for layer, known in zip(layers, names, strict=True) if known & set(blocks)]


def _mixing_layer(encoder, whole, maps):
    """Return the mixing layer of a block, None where it has none."""
    block = getattr(encoder, "block_module", encoder.map_module)(whole)
    module = next((one for one in block.modules() if isinstance(one, SS2D) or is_attention(one)), None)
    if module is None:
        return None
    inner = [ActivationMap(*one) for one in maps if one[:2] == whole[:2] and one.target != "block"]
    wrappers = [encoder.map_module(one) for one in [*inner, whole]]
    smoothing = next((one for one in wrappers if isinstance(one, GaussianSmoothed)), None)
    return MixingLayer(whole.stage, whole.block, module, block, smoothing)


@torch.no_grad()
def run_clip(encoder: Any, feats: torch.Tensor, layers: Sequence[MixingLayer]) -> list[Passed]:
    """Encode the features of one clip, and return what passed through each of these layers and their blocks.

    Arguments
    ---------
    encoder : Encoder
    feats : torch.Tensor
        (1,T,F).
    layers : sequence of MixingLayer

    Returns
    -------
    list of Passed
        In the order of the layers.

    Raises
    ------
    LungSRADError
        Where attention has fewer tokens than the encoder's map has positions.
    """
    seen: dict[int, torch.Tensor] = {}
    whole: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    handles = []
    for index, layer in enumerate(layers):

        def keep_input(module, inputs, named, index=index):
            seen[index] = inputs[0] if inputs else named["hidden_states"]

        def keep_block(module, inputs, named, output, index=index):
            given = inputs[0] if inputs else named["hidden_states"]
            whole[index] = given, first_tensor(output)

        handles.append(_as_module(layer.module).register_forward_pre_hook(keep_input, with_kwargs=True))
        handles.append(layer.whole_block.register_forward_hook(keep_block, with_kwargs=True))
    try:
        encoder(feats)
    finally:
        for handle in handles:
            handle.remove()
    size = encoder.map_size(feats.shape[1], feats.shape[2])
    passed = []
    for index, layer in enumerate(layers):
        u = layer.module.activations(seen[index]) if isinstance(layer.module, SS2D) else seen[index]
        own = (u.shape[1], u.shape[2]) if u.dim() == 4 else size
        if u.dim() == 3 and u.shape[1] < own[0] * own[1]:
            raise LungSRADError(
                f"block {layer.name}: attention over {u.shape[1]} tokens, fewer than the {own[0]} x {own[1]} positions "
                "of the encoder's map"
            )
        passed.append(Passed(u, own, *whole[index]))
    return passed


def _as_module(layer: Any) -> torch.nn.Module:
    """Return the layer as what it also is, for type checkers."""
    return layer


def first_tensor(output):
    """Return what a block computes; some return a tuple with more."""
    return output[0] if isinstance(output, tuple) else output


def as_map(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a map (B,C,H,W) of a map, or of tokens (B,tokens,C), those of the map last.

    Example
    -------
    >>> as_map(torch.zeros(1, 2 + 12, 5), (3, 4)).shape
    torch.Size([1, 5, 3, 4])
    """
    if x.dim() == 4:
        return x
    height, width = size
    return x[:, -height * width :].mT.unflatten(2, size)
