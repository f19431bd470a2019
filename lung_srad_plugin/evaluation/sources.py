"""What is evaluated: predictions by selection rule, and what is known of where they come from.

``run_source.py``, ``model_source.py`` and ``predictions_source.py`` make it of a training run, of an exported model and
a manifest, and of a file of predictions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.worst_cycles import CycleStretch
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.validation_fit import ValidationFit, fit_on_validation, nothing_fitted
from lung_srad_plugin.utils.provenance import file_sha256

NO_VALIDATION = "there were no validation cycles apart from the evaluated ones to fit it on"

# What results and a model's config say that is worth showing.
_FACTS = (
    *("experiment", "data", "epoch", "seed", "pretrained", "parameters"),
    *("device", "precision", "training", "probe", "commit", "versions"),
)


@dataclass(frozen=True)
class Selection:
    """The predictions of one epoch, and how that epoch was selected.

    Arguments
    ---------
    rule : str
        ``valid``, ``last`` or ``test``; for a file of predictions ``given``.
    text : str
        The rule in words.
    epoch : int, str or None
        Of a cross-validation, those of all folds.
    optimistic : bool
        Whether the cycles evaluated here selected the epoch.
    table : PredictionTable
    fit : ValidationFit
        The temperature and the thresholds fitted on validation cycles, or why there are none.
    """

    rule: str
    text: str
    epoch: int | str | None
    optimistic: bool
    table: PredictionTable
    fit: ValidationFit = field(default_factory=lambda: nothing_fitted(NO_VALIDATION))


@dataclass(frozen=True)
class Source:
    """What is evaluated: predictions by selection, the first of which is the main one, and where they come from.

    Arguments
    ---------
    name : str
        Of the experiment or model.
    data : str
        What was classified, in words.
    selections : list of Selection
        All on the same cycles.
    protocol : dict
        As in ``results.json``, of the model's training; empty where nothing is known.
    facts : dict
        Further facts by name.
    of_training : bool
        Whether the cycles are those of a part of the training run.
    cautions : list of str
        What a reader must know of these predictions.
    labels_map : dict or None
        The data set's label to the model's, or to None for what was left out.
    left_out : dict
        By the data set's label, how many rows the mapping left out.
    trained_on_synthetic, synthetic : bool
        Whether the model was trained on synthetic sounds, and whether the evaluated ones are synthetic.
    stretches : dict or None
        Where the evaluated cycles are, by ID; None where that is not known.
    without_sound : str or None
        Why it is not.
    """

    name: str
    data: str
    selections: list[Selection]
    protocol: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    of_training: bool = True
    cautions: list[str] = field(default_factory=list)
    labels_map: dict[str, str | None] | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    trained_on_synthetic: bool = False
    synthetic: bool = False
    stretches: dict[str, CycleStretch] | None = None
    without_sound: str | None = None


def fit_apart(valid: PredictionTable, table: PredictionTable, source: str | Path) -> ValidationFit:
    """Fit temperature and thresholds on validation cycles, which must not be among the evaluated ones.

    Arguments
    ---------
    valid, table : PredictionTable
        The validation cycles, and the evaluated ones.
    source : str or Path
        Where the validation cycles come from, for the message.

    Raises
    ------
    LungSRADError
        Where cycles are in both tables.
    """
    both = sorted(set(valid.ids) & set(table.ids))
    if both:
        raise LungSRADError(
            f"{source}: {len(both)} of its cycles, such as {both[0]}, are evaluated too; fit on other patients' cycles"
        )
    return fit_on_validation(valid)


def select_facts(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is worth showing of a run's results or a model's config."""
    facts = {key: stored[key] for key in _FACTS if stored.get(key) is not None}
    if "pretrained" in facts:
        # A report is passed on; where the weights lay on one machine does not belong into it.
        facts["pretrained"] = facts["pretrained"] | {"source": Path(facts["pretrained"]["source"]).name}
    return facts


def sha256_by_name(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of files by their names."""
    return {Path(path).name: file_sha256(path) for path in paths}
