"""What may be asked of an evaluation, as one record."""

from dataclasses import dataclass, field
from pathlib import Path

from lung_srad_plugin.evaluation.worst_cycles import SHOWN_CYCLES
from lung_srad_plugin.metrics.bootstrap import Bootstrap


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of ``evaluate`` and ``evaluate_runs``.

    Arguments
    ---------
    manifest : str or Path, optional
        CSV of the cycles.
    data_root : str or Path, optional
        What ``{data_root}`` in it stands for.
    labels_map : str or Path, optional
        JSON, the manifest's labels to the model's, see ``read_labels_map``.
    valid : str or Path, optional
        Validation cycles to fit temperature and thresholds on: a manifest for a model, else a predictions CSV.
    windows : bool
        Process cycles longer than the model's input length in overlapping windows, instead of cutting them.
    test_set : str, optional
        For runs with several test sets, the one to report on.
    against : sequence of str or Path
        Other models on the same cycles, for paired differences: a predictions CSV, or the output folder of a run.
    bootstrap : Bootstrap
        How the intervals are made.
    harmonic : bool
        Add the harmonic scores of the SPRSound challenge.
    batch_size : int
        Cycles that go through the model at once.
    device : str, optional
        For the model, such as ``"cpu"`` or ``"cuda"``.
    trust_code : bool
        Whether models and runs may call anything; see ``LungSoundClassifier.from_hparams``.
    worst_cycles : int
        How many of the most confident wrong answers the report shows; 0 shows none.

    Example
    -------
    >>> EvaluationOptions(bootstrap=Bootstrap(resamples=100)).bootstrap.resamples
    100
    """

    manifest: str | Path | None = None
    data_root: str | Path | None = None
    labels_map: str | Path | None = None
    valid: str | Path | None = None
    windows: bool = False
    test_set: str | None = None
    against: tuple[str | Path, ...] = ()
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    harmonic: bool = False
    batch_size: int = 8
    device: str | None = None
    trust_code: bool = False
    worst_cycles: int = SHOWN_CYCLES
