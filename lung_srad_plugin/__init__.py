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
    "audio.reading": ("load_recording",),
    "audio.cycles": ("read_cycle", "shape_cycle"),
    "audio.features": ("KaldiFbank", "AudioSetNormalization", "CycleFeatures"),
    "audio.spec_augment": ("SpecAugment", "draw_spec_augment", "apply_spec_augment"),
    "audio.feature_cache": ("FeatureCache",),
    "scan.dispatch": ("selective_scan", "cross_scan", "available_scan_backends"),
    "encoders.dass.encoder": ("DASSEncoder",),
    "encoders.dass.checkpoint": ("load_dass_checkpoint",),
    "nn.gaussian": ("gaussian_smooth", "GaussianSmoothed", "smooth_blocks"),
    "nn.patch_mix": ("draw_patch_mix", "apply_patch_mix"),
    "nn.heads": ("LogClassifier", "Projector"),
    "nn.model": ("LungSoundModel",),
    "nn.losses": ("PatchMixContrastiveLoss", "class_weights"),
    "training.schedule": ("CosineByEpoch",),
    "metrics.icbhi_score": ("icbhi_scores",),
    "analysis.spectral": ("spectral_response",),
    "datasets.icbhi.prepare": ("prepare_icbhi",),
    "datasets.manifests": ("read_manifest", "validate_manifest", "validate_manifests", "write_manifest"),
    "datasets.synthetic.folder": ("synthesize_icbhi",),
    "training.brain": ("LungSoundBrain",),
    "training.recipe": ("train",),
    "export.export": ("export_checkpoint", "export_run"),
    "inference.result": ("Classification", "Segment"),
    "inference.classifier": ("LungSoundClassifier",),
    "evaluation.command": ("evaluate",),
    "metrics.predictions": ("read_predictions", "write_predictions"),
    "metrics.comparison": ("paired_difference",),
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
