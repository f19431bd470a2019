"""``lung-srad retention``: whether runs whose layers keep high frequencies recognise more, over the runs there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.analysis.checkpoints import CheckpointFigures, checkpoint_figures, find_runs
from lung_srad_plugin.analysis.correlation import FEWEST
from lung_srad_plugin.analysis.cycles import select_cycles
from lung_srad_plugin.analysis.feature_spectra import CUTOFF
from lung_srad_plugin.analysis.retention_tables import (
    Correlation,
    checkpoints_csv,
    correlations_csv,
    plot_checkpoints,
    plot_correlations,
    retention_correlations,
)
from lung_srad_plugin.datasets.manifests import validate_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.reporting.figures import FORMATS, save_figures
from lung_srad_plugin.utils.files import refuse_foreign_files, write_together
from lung_srad_plugin.utils.progress import progress_bars

TABLES = ("checkpoints.csv", "correlations.csv")
FIGURES = ("correlations", "checkpoints")


@dataclass(frozen=True)
class RetentionOptions:
    """How retention and scores of runs are compared.

    Arguments
    ---------
    manifest : str or Path, optional
        CSV of the cycles on which retention is measured; by default the validation cycles of the first run.
    data_root : str or Path, optional
        What ``{data_root}`` in it stands for; by default the first run's data folder.
    cycles : int
        How many of them, as many of each class.
    rules : sequence of str
        Which checkpoints of a run.
    part : str
        ``"test"`` or ``"valid"``: on which predictions the scores are.
    cutoff : float
        In cycles per position.
    bootstrap : Bootstrap, optional
        Of the runs.
    trust_code : bool
        Whether the runs' settings may call anything.
    """

    manifest: str | Path | None = None
    data_root: str | Path | None = None
    cycles: int = 16
    rules: Sequence[str] = ("valid",)
    part: str = "test"
    cutoff: float = CUTOFF
    bootstrap: Bootstrap | None = None
    trust_code: bool = False


def retention(
    folders: Sequence[str | Path], output: str | Path, options: RetentionOptions | None = None
) -> tuple[list[CheckpointFigures], list[Correlation]]:
    """Correlate the frequency retention of runs' layers with their scores, and write tables and figures.

    Arguments
    ---------
    folders : sequence of str or Path
        The output folder of an ablation, or those of training runs.
    output : str or Path
        Folder for ``checkpoints.csv`` (every checkpoint), ``correlations.csv``, and ``checkpoints`` and
        ``correlations`` as PNG, PDF and SVG.
    options : RetentionOptions, optional

    Returns
    -------
    (list of CheckpointFigures, list of Correlation)

    Raises
    ------
    LungSRADError
        Where there are fewer than three finished runs, one lacks a file, the manifest is faulty or has other labels, or
        a file would be overwritten that this command did not write.
    """
    options = options or RetentionOptions()
    output = Path(output)
    refuse_foreign_files(
        [*(output / name for name in TABLES), *(output / f"{name}.{end}" for name in FIGURES for end in FORMATS)]
    )
    runs = find_runs(folders)
    if len(runs) < FEWEST:
        raise LungSRADError(
            f"{len(runs)} finished runs ({', '.join(runs)}): a correlation over them says nothing; expected at least "
            f"{FEWEST}, and many more for intervals worth reading"
        )
    first = next(iter(runs.values()))
    settings = first.settings(options.trust_code)
    manifest = options.manifest or _valid_manifest(first, settings)
    data_root = options.data_root or settings.get("data_folder")
    labels = first.results().labels
    listed = validate_manifest(manifest, labels, data_root).rows
    there = {row["label"] for row in listed}
    rows = select_cycles(listed, options.cycles, [name for name in labels if name in there])
    with progress_bars() as bars:
        task = bars.add_task("checkpoints", total=len(runs) * len(options.rules))
        figures = checkpoint_figures(
            runs,
            rows,
            options.rules,
            options.part,
            options.cutoff,
            trust_code=options.trust_code,
            progress=lambda: bars.advance(task),
        )
    correlations = retention_correlations(figures, options.bootstrap)
    write_together(
        {
            output / "checkpoints.csv": checkpoints_csv(figures),
            output / "correlations.csv": correlations_csv(correlations),
        }
    )
    save_figures(plot_checkpoints(figures), output / "checkpoints")
    save_figures(plot_correlations(correlations), output / "correlations")
    return figures, correlations


def _valid_manifest(run, settings):
    """Return the manifest of a run's validation cycles, which its settings name from the folder it was started in."""
    named = settings.get("valid_csv")
    found = [Path(named)] if isinstance(named, str) else []
    found = [path for path in (*found, run.manifests / "valid.csv") if path.is_file()]
    if not found:
        raise LungSRADError(
            f"{run}: its validation cycles, valid_csv {named}, are not there; name the manifest of the cycles on which "
            "retention shall be measured: --manifest"
        )
    return found[0]
