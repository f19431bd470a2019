"""A file of predictions, of whatever model, as the source of an evaluation."""

from pathlib import Path

from lung_srad_plugin.datasets.synthetic.marker import is_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.sources import Selection, Source, fit_apart, sha256_by_name
from lung_srad_plugin.evaluation.worst_cycles import NAMELESS, CycleStretch, stretches_of
from lung_srad_plugin.metrics.predictions import PredictionTable, check_complete
from lung_srad_plugin.metrics.predictions_file import read_predictions


def load_predictions(
    path: str | Path,
    manifest: str | Path | None = None,
    data_root: str | Path | None = None,
    valid: str | Path | None = None,
) -> Source:
    """Read the predictions of any model.

    Arguments
    ---------
    path : str or Path
        A predictions CSV.
    manifest : str or Path, optional
        The cycles it must hold, no more and no fewer, with their labels.
    data_root : str or Path, optional
        What ``{data_root}`` in the manifest stands for.
    valid : str or Path, optional
        Predictions of the same model on validation cycles, to fit temperature and thresholds on.

    Returns
    -------
    Source

    Raises
    ------
    LungSRADError
        With every faulty row of the predictions; where they do not match the manifest.
    """
    path = Path(path)
    table = read_predictions(path)
    stretches = None if manifest is None else _check_against(table, manifest, data_root)
    fits = {} if valid is None else {"fit": fit_apart(read_predictions(valid, table.labels), table, valid)}
    text = "predictions as given: how the epoch was selected is not known"
    return Source(
        name=path.stem,
        data=path.name if manifest is None else Path(manifest).name,
        selections=[Selection("given", text, None, False, table, **fits)],
        facts={"predictions": sha256_by_name([path]), **({"manifest": sha256_by_name([manifest])} if manifest else {})},
        of_training=False,
        cautions=["Nothing is known of how this model was trained and selected: the file of predictions does not say."],
        synthetic=is_synthetic(data_root),
        stretches=stretches,
        without_sound=NAMELESS,
    )


def _check_against(table: PredictionTable, manifest, data_root) -> dict[str, CycleStretch] | None:
    """Refuse a manifest of other cycles; return where its cycles are, None without what the root stands for."""
    from lung_srad_plugin.datasets.manifests import read_manifest

    rows = read_manifest(manifest, data_root if data_root is not None else ".")
    check_complete(table, [row["ID"] for row in rows], str(manifest))
    labels = {row["ID"]: row["label"] for row in rows}
    wrong = [
        f"{name}: {table.labels[target]!r}, in the manifest {labels[name]!r}"
        for name, target in zip(table.ids, table.targets, strict=True)
        if table.labels[target] != labels[name]
    ]
    if wrong:
        raise LungSRADError(
            f"{len(wrong)} labels of the predictions are not those of {manifest}\n  " + "\n  ".join(wrong[:10])
        )
    return None if data_root is None else stretches_of(rows)
