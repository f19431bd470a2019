"""LoRA: low-rank adapters beside the linear layers of an encoder that is frozen otherwise, by peft.

An adapter adds ``B A x * alpha / rank`` to what its layer computes, with A and B of a small rank (Hu et al., "LoRA:
Low-Rank Adaptation of Large Language Models", 2021). B starts at zero, so training starts at the encoder as it is.
Merged into the weights, adapters leave an encoder of the same architecture.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from lung_srad_plugin.errors import LungSRADError

# Their attention and their layers read the weights of linear layers and do not call them.
_BYPASSING = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer)


def import_peft() -> Any:
    """Return the package peft.

    Raises
    ------
    LungSRADError
        Where it is not installed, with the cure.
    """
    try:
        import peft
    except ImportError as error:
        raise LungSRADError(f'lora_rank: needs peft ({error}); pip install "lung-srad[lora]"') from None
    return peft


def add_adapters(
    encoder: torch.nn.Module, rank: int, alpha: float = 16.0, dropout: float = 0.0, targets: Sequence[str] | None = None
) -> list[str]:
    """Freeze an encoder and add a trainable adapter to each of its target layers, in place.

    Arguments
    ---------
    encoder : torch.nn.Module
    rank : int
        Of each adapter.
    alpha : float
        The adapters' output is scaled by ``alpha / rank``.
    dropout : float
        Probability of dropping an input feature of an adapter in training.
    targets : sequence of str, optional
        Names of linear layers, or the last parts of their names, such as ``in_proj``. None takes all linear layers; of
        DASS these are ``in_proj``, ``out_proj``, ``fc1`` and ``fc2`` of each block.

    Returns
    -------
    list of str
        The names of the layers that have an adapter.

    Raises
    ------
    LungSRADError
        Where peft is missing, the encoder has adapters, a target is no linear layer of it, or a layer's weights are
        read by another layer, which would leave its adapter out.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> encoder = DASSEncoder([1], [16])
    >>> add_adapters(encoder, rank=2, targets=["in_proj", "fc1"])
    ['layers.0.blocks.0.op.in_proj', 'layers.0.blocks.0.mlp.fc1']
    >>> sum(parameter.numel() for parameter in encoder.parameters() if parameter.requires_grad)
    224
    """
    peft = import_peft()
    if adapted_layers(encoder):
        raise LungSRADError("the encoder has adapters already; merge them before adding others")
    linear = [name for name, module in encoder.named_modules() if isinstance(module, torch.nn.Linear)]
    chosen = linear
    if targets is not None:
        known = sorted({name.rpartition(".")[2] for name in linear})
        unknown = [target for target in targets if not any(_is_named(name, target) for name in linear)]
        if unknown or not targets:
            wrong = f"no linear layer is named {', '.join(unknown)}" if unknown else "names no layer"
            raise LungSRADError(f"lora_targets: {wrong}; the encoder has {', '.join(known)}")
        chosen = [name for name in linear if any(_is_named(name, target) for target in targets)]
    if not chosen:
        raise LungSRADError(f"lora_rank: {type(encoder).__name__} has no linear layer that could have an adapter")
    _refuse_bypassed(encoder, chosen)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=chosen)
    peft.inject_adapter_in_model(config, encoder)
    return chosen


def adapted_layers(encoder: torch.nn.Module) -> list[str]:
    """Return the names of the layers that have an adapter."""
    return [name for name, module in encoder.named_modules() if hasattr(module, "lora_A")]


def adapter_weights(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return what training changes of an encoder with adapters: their weights, and running statistics of norms.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> encoder = DASSEncoder([1], [16])
    >>> _ = add_adapters(encoder, rank=2, targets=["in_proj"])
    >>> list(adapter_weights(encoder))
    ['layers.0.blocks.0.op.in_proj.lora_A.default.weight', 'layers.0.blocks.0.op.in_proj.lora_B.default.weight']
    """
    state = encoder.state_dict(keep_vars=True)
    return {
        name: values.detach()
        for name, values in state.items()
        if values.requires_grad or not isinstance(values, torch.nn.Parameter)
    }


def load_adapter_weights(encoder: torch.nn.Module, weights: dict[str, torch.Tensor], source: Any) -> None:
    """Fill in what ``adapter_weights`` returned.

    Raises
    ------
    LungSRADError
        Where names or shapes are not those of the encoder's adapters.
    """
    expected = adapter_weights(encoder)
    unlike = sorted(
        name
        for name in {**weights, **expected}
        if name not in weights or name not in expected or weights[name].shape != expected[name].shape
    )
    if unlike:
        raise LungSRADError(f"{source}: does not fit the adapters of the run's settings, for example {unlike[0]}")
    encoder.load_state_dict(weights, strict=False)


def merged(encoder: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of an encoder with adapters in which they are part of the weights, without adapters.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> encoder = DASSEncoder([1], [16])
    >>> before = list(encoder.state_dict())
    >>> _ = add_adapters(encoder, rank=2)
    >>> list(merged(encoder).state_dict()) == before
    True
    """
    result = copy.deepcopy(encoder)
    for name in adapted_layers(result):
        layer: Any = result.get_submodule(name)
        layer.merge(safe_merge=True)  # refuses weights that are not finite
        parent, _, last = name.rpartition(".")
        setattr(result.get_submodule(parent), last, layer.get_base_layer())
    if hasattr(result, "peft_config"):
        del result.peft_config
    return result


def count_parameters(encoder: torch.nn.Module) -> int:
    """Return the number of an encoder's parameters, without those of adapters, which merging takes away.

    Example
    -------
    >>> count_parameters(torch.nn.Linear(3, 2))
    8
    """
    return sum(values.numel() for name, values in encoder.named_parameters() if ".lora_" not in name)


def _is_named(name, target):
    return name == target or name.endswith(f".{target}")


def _refuse_bypassed(encoder, chosen):
    for owner, module in encoder.named_modules():
        inside = [name for name in chosen if name.startswith(f"{owner}.")] if owner else []
        if isinstance(module, _BYPASSING) and inside:
            raise LungSRADError(
                f"lora_targets: {inside[0]} is read by {type(module).__name__} without being called, so an adapter "
                "would change nothing; name other layers"
            )
