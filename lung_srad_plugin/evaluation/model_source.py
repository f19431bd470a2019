"""An exported model and a manifest as the source of an evaluation: the model classifies the cycles here and now."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lung_srad_plugin.datasets.synthetic.marker import is_synthetic, trained_on_synthetic
from lung_srad_plugin.evaluation.manifest_table import map_labels
from lung_srad_plugin.evaluation.sources import Selection, Source, fit_apart, select_facts
from lung_srad_plugin.evaluation.worst_cycles import stretches_of
from lung_srad_plugin.metrics.validation_fit import read_validation_fit
from lung_srad_plugin.utils.provenance import file_sha256

# How a part of the training run's data bears on what is measured on it.
PARTS = {
    "train": "the cycles the model was TRAINED on: the scores say nothing about other patients",
    "valid": "the validation cycles of its training run, on which its epoch, temperature or thresholds were chosen",
    "test": "the test cycles of its training run",
}


def classify_manifest(
    folder: str | Path,
    manifest: str | Path,
    data_root: str | Path | None = None,
    labels_map: Mapping[str, str | None] | None = None,
    valid: str | Path | None = None,
    windows: bool = False,
    batch_size: int = 8,
    device: str | None = None,
    trust_code: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Source:
    """Classify the cycles of a manifest with an exported model.

    Arguments
    ---------
    folder : str or Path
        The model folder.
    manifest : str or Path
        CSV of the cycles.
    data_root : str or Path, optional
        What ``{data_root}`` in it stands for.
    labels_map : dict, optional
        As in ``map_labels``.
    valid : str or Path, optional
        Another manifest, with the same root and labels, to fit temperature and thresholds on. Without it those that the
        model came with are used, if any.
    windows, batch_size, progress
        As in ``predict_rows``.
    device : str, optional
        Such as ``"cpu"`` or ``"cuda"``; the best there is when None.
    trust_code : bool
        As in ``LungSoundClassifier.from_hparams``.

    Returns
    -------
    Source

    Raises
    ------
    LungSRADError
        Where the model cannot be loaded, or the manifest is faulty or does not match the model's labels.
    """
    from lung_srad_plugin.datasets.manifests import validate_manifest
    from lung_srad_plugin.evaluation.predict import predict_rows
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.starter_model import model_path

    run_opts = None if device is None else {"device": device}
    classifier = LungSoundClassifier.from_hparams(source=model_path(folder), run_opts=run_opts, trust_code=trust_code)
    config = classifier.config
    stored, labels = config.model_dump(), config.labels
    known = list(labels) if labels_map is None else list(labels_map)

    def rows_of(path):
        return validate_manifest(path, known, data_root).rows

    def predict(rows):
        return predict_rows(classifier, rows, batch_size, windows, progress)

    rows = rows_of(manifest)
    mapped = map_labels(rows, labels_map, labels, manifest)
    valid_rows = None if valid is None else map_labels(rows_of(valid), labels_map, labels, valid)
    table = predict(mapped)
    fit = read_validation_fit(stored)
    if valid is not None and valid_rows is not None:
        fit = fit_apart(predict(valid_rows), table, valid)

    protocol = stored["protocol"] or {}
    part = part_of_training(protocol, manifest)
    selected_here = config.select == "test" or protocol.get("valid_is_test", False)
    selection = Selection(
        config.select or "given",
        protocol.get("selection", {}).get(config.select, f"checkpoint selected as {config.select!r}"),
        config.epoch,
        part == "valid" or (part == "test" and selected_here),
        table,
        fit,
    )
    long = sum(row["stop"] - row["start"] > config.duration for row in mapped)
    treated = "processed in overlapping windows, probabilities averaged" if windows else "cut to it, as in training"
    return Source(
        name=config.model,
        data=Path(manifest).name,
        selections=[selection],
        protocol=protocol,
        facts=select_facts(stored)
        | {
            "manifest": {Path(manifest).name: file_sha256(manifest)},
            "longer than the input length": f"{long} of {len(mapped)} rows exceed {config.duration:g} s: {treated}",
        },
        of_training=part is not None,
        cautions=cautions_of_part(part, protocol) + (_cautions_of_windows(long, mapped) if windows else []),
        labels_map=None if labels_map is None else dict(labels_map),
        left_out=_left_out(rows, labels_map),
        trained_on_synthetic=trained_on_synthetic(stored),
        synthetic=is_synthetic(data_root),
        stretches=stretches_of(mapped),
    )


def part_of_training(protocol: Mapping[str, Any], manifest: str | Path) -> str | None:
    """Return which of a model's training manifests this is, by its content; None if none.

    Arguments
    ---------
    protocol : Mapping
        The model's, as its ``config.json`` has it; empty where it is not known.
    manifest : str or Path
    """
    sha256 = file_sha256(manifest)
    parts = [part for part, known in protocol.get("sha256", {}).items() if known == sha256]
    # Where test is valid too, it counts as test.
    return "test" if any(part not in ("train", "valid") for part in parts) else next(iter(reversed(parts)), None)


def cautions_of_part(part: str | None, protocol: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know about scores on a part of the training's data, or on other data.

    Arguments
    ---------
    part : str or None
        Of ``part_of_training``.
    protocol : Mapping
    """
    if part is not None:
        return [f"These are {PARTS[part]}."]
    if not protocol:
        return ["Nothing is known of how this model was trained and selected: its folder does not say."]
    return [
        "These are not the manifests of the model's training run. Whether patients of its training are among them is "
        "not known here; if the data sets differ, so do devices, annotators and patients, and scores do not compare "
        "with those on the training's own test set."
    ]


def _cautions_of_windows(long, rows):
    if not long:
        return []
    return [
        f"{long} of the {len(rows)} rows are longer than the model's input length, as whole recordings are. Each was "
        "processed in overlapping windows and has the mean of their probabilities; here it is called a cycle all the "
        "same."
    ]


def _left_out(rows, labels_map):
    left_out = [row["label"] for row in rows if labels_map is not None and labels_map[row["label"]] is None]
    return {label: left_out.count(label) for label in sorted(set(left_out))}
