"""What commands say of a model before they use it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC
from lung_srad_plugin.export.novelty_file import describe_missing
from lung_srad_plugin.inference.starter_model import describe_starter
from lung_srad_plugin.utils.text import printable

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


def print_model_notes(classifier: LungSoundClassifier, cure: str | None = None) -> None:
    """Print to standard error what a reader of a model's results must know of it.

    Arguments
    ---------
    classifier : LungSoundClassifier
    cure : str or None
        How to name another model in the command, where none was named; None where one was.
    """
    notes = []
    if cure is not None:
        notes.append(printable(describe_starter(classifier.config, cure)))
    if classifier.trained_on_synthetic:
        notes.append(TRAINED_ON_SYNTHETIC)
    if classifier.novelty is None:
        missing = printable(describe_missing(classifier.config))
        notes.append(f"{printable(classifier.model_id)} cannot tell sounds unlike its training sounds: {missing}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr, flush=True)
