"""Where predictions come from: a training run, an exported model and a manifest, or a file of predictions."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.manifest_table import map_labels
from lung_srad_plugin.metrics.icbhi_score import confusion_counts
from lung_srad_plugin.metrics.predictions import PredictionTable, check_complete, read_predictions
from lung_srad_plugin.metrics.validation_fit import (
    ValidationFit,
    fit_on_validation,
    nothing_fitted,
    read_validation_fit,
)
from lung_srad_plugin.utils.provenance import file_sha256

NO_VALIDATION = "there were no validation cycles apart from the evaluated ones to fit it on"
VALID_IS_TEST = "the validation cycles were the test cycles, which nothing may be fitted on"

# How a part of the training run's data bears on what is measured on it.
PARTS = {
    "train": "the cycles the model was TRAINED on: the scores say nothing about other patients",
    "valid": "the validation cycles of its training run, on which its epoch, temperature or thresholds were chosen",
    "test": "the test cycles of its training run",
}


@dataclass(frozen=True)
class Selection:
    """The predictions of one epoch, and how that epoch was picked.

    Arguments
    ---------
    rule : str
        ``valid``, ``last`` or ``test``; for a file of predictions ``given``.
    text : str
        The rule in words.
    epoch : int, str or None
        Of a cross-validation, those of all folds.
    optimistic : bool
        Whether the cycles evaluated here picked the epoch.
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
        Names the cycles evaluated.
    selections : list of Selection
    protocol : dict
        What is known of the training: ``split``, ``split_sha256``, ``sha256`` of the manifests, ``valid_is_test``,
        ``patients_shared``, ``notes``; empty where nothing is known.
    facts : dict
        Further facts by name, to be shown: seed, commit, files, versions.
    of_training : bool
        Whether the cycles are among those of the training run, so that what ``protocol`` says holds for them.
    cautions : list of str
        What a reader must know of these cycles.
    labels_map : dict or None
        The data set's label to the model's, or to None for what was left out.
    left_out : dict
        By the data set's label, how many rows the mapping left out.
    """

    name: str
    data: str
    selections: list
    protocol: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    of_training: bool = True
    cautions: list = field(default_factory=list)
    labels_map: dict | None = None
    left_out: dict = field(default_factory=dict)


def is_run(folder):
    """Return whether a folder is the output of a training run with results."""
    return (Path(folder) / "results.json").is_file() and (Path(folder) / "hyperparams.yaml").is_file()


def load_run(folder):
    """Return what a training run said of its test cycles, for each rule that picked an epoch.

    Arguments
    ---------
    folder : str or Path
        The run's output folder, with ``results.json`` and ``predictions_test_<rule>.csv``.

    Returns
    -------
    Source

    Raises
    ------
    LungSRADError
        Where a file is missing, or the predictions do not give the scores of ``results.json``.
    """
    from lung_srad_plugin.runs.results import predictions_name

    folder = Path(folder)
    results = _read_json(folder / "results.json")
    protocol = results["protocol"]
    selections = []
    for rule, scores in results["selected"].items():
        path = folder / predictions_name("test", rule)
        if not path.is_file():
            raise LungSRADError(
                f"{path}: no such file; it comes with every run of this version, so run the training command again "
                "with --test_only"
            )
        table = read_predictions(path, results["labels"])
        if confusion_counts(table.targets, table.predicted, len(table.labels)).tolist() != scores["confusion"]:
            raise LungSRADError(
                f"{path}: does not give the confusion counts of {folder / 'results.json'}, so they are not of one run; "
                "run the training command again with --test_only"
            )
        selections.append(
            Selection(
                rule,
                protocol["selection"][rule],
                scores["epoch"],
                rule == "test" or (rule == "valid" and protocol["valid_is_test"]),
                table,
                _fit_of_run(scores, protocol),
            )
        )
    return Source(
        name=results["experiment"],
        data=f"test cycles of {Path(results['data_folder']).name}",
        selections=selections,
        protocol=protocol,
        facts=_facts(results)
        | {"predictions": _sha256s(folder / predictions_name("test", s.rule) for s in selections)},
    )


def _fit_of_run(scores, protocol):
    if scores.get("calibration") is None:  # version 0.1 stored no reason
        return nothing_fitted(VALID_IS_TEST if protocol["valid_is_test"] else NO_VALIDATION)
    return read_validation_fit(scores)


def load_model(folder, manifest, data_root=None, labels_map=None, valid=None, windows=False, trust_code=False, **how):
    """Let an exported model classify the cycles of a manifest.

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
    windows : bool
        As in ``predict_rows``.
    trust_code : bool
        As in ``LungSoundClassifier.from_hparams``.
    how
        ``batch_size`` and ``progress`` as in ``predict_rows``; ``run_opts`` as in ``LungSoundClassifier.from_hparams``.

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

    classifier = LungSoundClassifier.from_hparams(
        source=Path(folder), run_opts=how.pop("run_opts", None), trust_code=trust_code
    )
    config = classifier.config
    labels = config.labels
    known = list(labels) if labels_map is None else list(labels_map)

    def rows_of(path):
        return validate_manifest(path, known, data_root).rows

    rows = rows_of(manifest)
    mapped = map_labels(rows, labels_map, labels, manifest)
    valid_rows = None if valid is None else map_labels(rows_of(valid), labels_map, labels, valid)
    table = predict_rows(classifier, mapped, windows=windows, **how)
    told = config.model_dump()
    fit = read_validation_fit(told)
    if valid_rows is not None:
        fit = fit_apart(predict_rows(classifier, valid_rows, windows=windows, **how), table, valid)

    protocol = told["protocol"] or {}
    part = _part_of_training(protocol, manifest)
    picked_here = config.select == "test" or protocol.get("valid_is_test", False)
    selection = Selection(
        config.select,
        protocol.get("selection", {}).get(config.select, f"checkpoint chosen as {config.select!r}"),
        config.epoch,
        part == "valid" or (part == "test" and picked_here),
        table,
        fit,
    )
    long = sum(row["stop"] - row["start"] > config.duration for row in mapped)
    heard = "heard in overlapping windows, probabilities averaged" if windows else "cut to it, as in training"
    return Source(
        name=config.model,
        data=Path(manifest).name,
        selections=[selection],
        protocol=protocol,
        facts=_facts(told)
        | {
            "manifest": {Path(manifest).name: file_sha256(manifest)},
            "longer than the model hears": f"{long} of {len(mapped)} rows exceed {config.duration:g} s: {heard}",
        },
        of_training=part is not None,
        cautions=_cautions_of_part(part, protocol) + (_cautions_of_windows(long, mapped) if windows else []),
        labels_map=labels_map,
        left_out=_left_out(rows, labels_map),
    )


def load_predictions(path, manifest=None, data_root=None, valid=None):
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
    if manifest is not None:
        _check_against(table, manifest, data_root)
    fits = {} if valid is None else {"fit": fit_apart(read_predictions(valid, table.labels), table, valid)}
    text = "predictions as given: how the epoch was picked is not known"
    return Source(
        name=path.stem,
        data=path.name if manifest is None else Path(manifest).name,
        selections=[Selection("given", text, None, False, table, **fits)],
        facts={"predictions": _sha256s([path]), **({"manifest": _sha256s([manifest])} if manifest else {})},
        of_training=False,
        cautions=["Nothing is known of how this model was trained and selected: the file of predictions does not say."],
    )


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


def _check_against(table, manifest, data_root):
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


def _part_of_training(protocol, manifest):
    """Return which of the training's manifests this is, None if none."""
    sha256 = file_sha256(manifest)
    # Where test is valid too, it counts as test.
    return next((part for part in ("test", "valid", "train") if protocol.get("sha256", {}).get(part) == sha256), None)


def _cautions_of_part(part, protocol):
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
        f"{long} of the {len(rows)} rows are longer than what the model hears at once, as whole recordings are. Each "
        "was heard in overlapping windows and has the mean of their probabilities; here it is called a cycle all the "
        "same."
    ]


def _left_out(rows, labels_map):
    left_out = [row["label"] for row in rows if labels_map is not None and labels_map[row["label"]] is None]
    return {label: left_out.count(label) for label in sorted(set(left_out))}


def _facts(told):
    """Return what results or a model's config tell, of what is worth showing."""
    keys = (
        "experiment",
        "data",
        "epoch",
        "seed",
        "pretrained",
        "parameters",
        "device",
        "precision",
        "commit",
        "versions",
    )
    facts = {key: told[key] for key in keys if told.get(key) is not None}
    if "pretrained" in facts:
        # A report is passed on; where the weights lay on one machine is nobody's business.
        facts["pretrained"] = facts["pretrained"] | {"source": Path(facts["pretrained"]["source"]).name}
    return facts


def _sha256s(paths):
    return {Path(path).name: file_sha256(path) for path in paths}


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LungSRADError(f"{path}: not valid JSON ({error}); evaluate the run again with --test_only") from None
