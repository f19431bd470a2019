"""A model as bytes, so that workers on other machines load exactly what was named here."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lung_srad_plugin.export.model_folder import CARD, CONFIG, LICENSE, ONNX, WEIGHTS, read_config
from lung_srad_plugin.inference.loading import obtain_model

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


@dataclass(frozen=True)
class ModelCopy:
    """The files of a model folder that are needed to load it.

    Arguments
    ---------
    files : dict
        Name to content.
    trust_code : bool
        As for ``LungSoundClassifier.from_hparams``.
    """

    files: dict[str, bytes]
    trust_code: bool = False

    def load(self, device: str, precision: str) -> LungSoundClassifier:
        """Return the classifier; arguments as in the run options of ``LungSoundClassifier.from_hparams``."""
        from lung_srad_plugin.inference.classifier import LungSoundClassifier

        with tempfile.TemporaryDirectory(prefix="lung-srad-") as folder:
            for name, content in self.files.items():
                Path(folder, name).write_bytes(content)
            return LungSoundClassifier.from_hparams(
                source=Path(folder), run_opts={"device": device, "precision": precision}, trust_code=self.trust_code
            )


def copy_model(source: str | None, trust_code: bool = False) -> ModelCopy:
    """Return the files of a model.

    Arguments
    ---------
    source : str or None
        As for ``LungSoundClassifier.from_hparams``.
    trust_code : bool

    Raises
    ------
    LungSRADError
        Where there is no such model.

    Example
    -------
    >>> sorted(copy_model(None).files)[:2]
    ['classifier.ckpt', 'config.json']
    """
    with obtain_model(source) as folder:
        weights = {f"{name}{ending}" for name in WEIGHTS for ending in (".safetensors", ".ckpt")}
        names = ({CONFIG, *read_config(folder).files} | weights) - {ONNX, CARD, LICENSE}
        files = {name: (folder / name).read_bytes() for name in sorted(names) if (folder / name).is_file()}
    return ModelCopy(files, trust_code)
