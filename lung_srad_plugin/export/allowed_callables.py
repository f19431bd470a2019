"""What ``hyperparams.yaml`` of a model folder may call: what an export writes, and nothing else."""

from lung_srad_plugin.utils.yaml_nodes import Arguments, YamlRules

MODEL_CALLABLES = {
    "!new:lung_srad_plugin.CycleFeatures": Arguments(
        ("duration", "sample_rate", "frames", "n_mels", "high_hz", "level", "window_ms", "shift_ms")
    ),
    "!new:lung_srad_plugin.FeatureNormalization": Arguments(("kind", "mean", "std")),
    "!new:lung_srad_plugin.AudioSetNormalization": Arguments(),  # exports of version 0.1
    "!new:lung_srad_plugin.DASSEncoder": Arguments(
        ("depths", "dims", "drop_path_rate", "scan_backend", "gradient_checkpointing", "norm")
    ),
    "!new:lung_srad_plugin.CNNEncoder": Arguments(("channels",)),
    "!new:lung_srad_plugin.ASTEncoder": Arguments(
        ("hidden_size", "layers", "heads", "intermediate_size", "patch_size", "stride", "grid")
    ),
    "!new:lung_srad_plugin.BEATsEncoder": Arguments(
        (
            *("embed_dim", "hidden_size", "layers", "heads", "intermediate_size", "buckets", "max_distance"),
            *("position_width", "position_groups", "gradient_decay"),
        )
    ),
    "!apply:lung_srad_plugin.smooth_blocks": Arguments(
        ("encoder", "stage", "blocks", "kernel_size", "sigma", "target", "padding")
    ),
    "!new:lung_srad_plugin.LogClassifier": Arguments(("input_size", "classes")),
    "!new:speechbrain.dataio.encoder.CategoricalEncoder": Arguments(),
    "!apply:speechbrain.dataio.encoder.CategoricalEncoder.expect_len": Arguments(positions=2),
    "!new:speechbrain.utils.parameter_transfer.Pretrainer": Arguments(("loadables",)),
}

MODEL_RULES = YamlRules(MODEL_CALLABLES)

TRUST = (
    "a model folder is data and calls only what an export writes. If you know who made it and trust them with your "
    "machine, load it with trust_code=True (on the command line: --trust-code)"
)
