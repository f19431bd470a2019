"""Lung-SRAD: lung sounds classified with an audio state-space model, as a SpeechBrain plugin.

Public names are imported on first use, so that ``import lung_srad_plugin`` is quick and a command pays only for what it
calls.

Example
-------
>>> import lung_srad_plugin
>>> lung_srad_plugin.CLASSES
('normal', 'crackle', 'wheeze', 'both')
"""

from importlib import import_module

from lung_srad_plugin.version import __version__

# The public names by the module they live in.
_PUBLIC = {
    "labels": ("CLASSES", "label_of", "findings_of"),
    "errors": ("LungSRADError",),
    "audio": ("load_recording", "read_cycle", "shape_cycle"),
    "features": ("KaldiFbank", "AudioSetNormalization", "CycleFeatures"),
    "augment": ("SpecAugment", "draw_spec_augment", "apply_spec_augment"),
    "feature_cache": ("FeatureCache",),
    "scan.select": ("selective_scan", "cross_scan", "available_scan_backends"),
    "encoder.dass": ("DASSEncoder",),
    "encoder.checkpoint": ("load_dass_checkpoint",),
    "gaussian": ("gaussian_smooth", "GaussianSmoothed", "smooth_blocks"),
    "patch_mix": ("draw_patch_mix", "apply_patch_mix"),
    "heads": ("LogClassifier", "Projector"),
    "model": ("LungSoundModel",),
    "losses": ("PatchMixContrastiveLoss", "class_weights"),
    "schedule": ("CosineByEpoch",),
    "metrics": ("icbhi_scores",),
    "spectral": ("spectral_response",),
    "datasets.icbhi": ("prepare_icbhi",),
    "datasets.manifests": ("read_manifest", "validate_manifest", "validate_manifests", "write_manifest"),
    "synthetic": ("synthesize_icbhi",),
    "brain": ("LungSoundBrain",),
    "training": ("train",),
    "export": ("export_checkpoint", "export_run"),
    "classification": ("Classification", "Segment"),
    "inference": ("LungSoundClassifier",),
    "evaluation.command": ("evaluate",),
    "evaluation.predictions": ("read_predictions", "write_predictions"),
    "evaluation.compare": ("paired_difference",),
    "ablation.command": ("ablate",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
