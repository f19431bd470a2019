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

_HOME = {
    "CLASSES": "labels",
    "label_of": "labels",
    "findings_of": "labels",
    "LungSRADError": "errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
