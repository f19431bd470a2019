"""Lung-SRAD: lung sounds classified with an audio state-space model, as a SpeechBrain plugin.

Public names are imported on first use, so that ``import lung_srad_plugin`` is quick and a command pays only for what it
calls.

Example
-------
>>> import lung_srad_plugin
>>> lung_srad_plugin.CLASSES
('normal', 'crackle', 'wheeze', 'both')
"""

import lazy_loader

from lung_srad_plugin.utils.threads import wait_passively
from lung_srad_plugin.utils.torch_pair import check_torch_pair
from lung_srad_plugin.version import __version__ as __version__

check_torch_pair()  # SpeechBrain loads torchaudio whatever is asked of it, and fails with a symbol of its library
wait_passively()  # OpenMP reads it when torch is loaded, so it is set before any module of ours loads torch
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
