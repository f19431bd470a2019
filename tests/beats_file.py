"""A file of BEATs weights of a small size, in the layout of the release."""

import torch

from lung_srad_plugin import BEATsEncoder

SIZES = {"embed_dim": 8, "hidden_size": 16, "layers": 2, "heads": 2, "intermediate_size": 32, "position_groups": 2}
CONFIG = {
    **{"input_patch_size": 16, "embed_dim": 8, "conv_bias": False, "encoder_layers": 2, "encoder_embed_dim": 16},
    **{"encoder_ffn_embed_dim": 32, "encoder_attention_heads": 2, "activation_fn": "gelu", "layer_norm_first": False},
    **{"deep_norm": True, "dropout": 0.0, "attention_dropout": 0.0, "encoder_layerdrop": 0.05, "conv_pos": 128},
    **{"conv_pos_groups": 2, "relative_position_embedding": True, "num_buckets": 320, "max_distance": 800},
    **{"gru_rel_pos": True, "layer_wise_gradient_decay_ratio": 0.6, "finetuned_model": False},
}


def write_beats_weights(path, change=None, **config):
    """Write a file as the release has it: a configuration, and weights under the names of an older torch."""
    torch.manual_seed(0)
    weights = {name: torch.randn_like(value) * 0.2 for name, value in BEATsEncoder(**SIZES).state_dict().items()}
    weights = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in weights.items()
    }
    first = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
    weights[first.format(1)] = weights[first.format(0)]  # one table for all layers
    if change:
        change(weights)
    torch.save({"cfg": {**CONFIG, **config}, "model": weights}, path)
    return path
