"""What the saved settings of a run may call: what the recipe's experiments need, and nothing else."""

from lung_srad_plugin.utils.yaml_nodes import Arguments, YamlRules

# Constructors of this package check the names of their arguments; those of older versions stay readable.
_CLASSES = (
    *(
        "CycleFeatures",
        "KaldiFbank",
        "FeatureCache",
        "FeatureNormalization",
        "AudioSetNormalization",
        "SpecAugment",
        "MelAugment",
    ),
    *("DASSEncoder", "CNNEncoder", "ASTEncoder", "BEATsEncoder"),
    *("LogClassifier", "Projector", "LungSoundModel", "PatchMixContrastiveLoss", "CosineByEpoch"),
)
_OPTIMIZERS = ("Adam", "AdamW", "SGD")

RUN_CALLABLES = {
    **{f"!new:lung_srad_plugin.{name}": Arguments(names=None) for name in _CLASSES},
    "!apply:lung_srad_plugin.smooth_blocks": Arguments(names=None),
    **{f"!name:torch.optim.{name}": Arguments(names=None) for name in _OPTIMIZERS},
    "!name:lung_srad_plugin.make_optimizer": Arguments(names=None),
    "!apply:operator.getitem": Arguments(positions=2),
    "!apply:len": Arguments(positions=1),
    "!apply:speechbrain.utils.seed_everything": Arguments(positions=1),
    "!new:speechbrain.utils.epoch_loop.EpochCounter": Arguments(("limit",)),
    "!new:speechbrain.utils.checkpoints.Checkpointer": Arguments(("checkpoints_dir", "recoverables")),
    "!new:speechbrain.utils.train_logger.FileTrainLogger": Arguments(("save_file",)),
}

# SpeechBrain saves settings with references filled in, where yaml has anchors and aliases.
RUN_RULES = YamlRules(RUN_CALLABLES, aliases=True)

TRUST = (
    "the settings of a run call only what the recipe's experiments call. If you know who made this folder and trust "
    "them with your machine, give trust_code=True (on the command line: --trust-code)"
)
