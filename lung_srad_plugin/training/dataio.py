"""The data of a run: manifests prepared and checked, features cached, SpeechBrain data sets."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.utils.data_pipeline import provides, takes

from lung_srad_plugin.audio.feature_cache import FeatureCache
from lung_srad_plugin.audio.floor import describe_floor
from lung_srad_plugin.datasets.manifests import PartsSummary, validate_parts
from lung_srad_plugin.datasets.preparation import prepare_data_set
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import make_label_encoder
from lung_srad_plugin.nn.distillation import TeacherTable
from lung_srad_plugin.nn.losses import class_weights
from lung_srad_plugin.nn.prior_correction import log_shares
from lung_srad_plugin.runs.named_tests import named_manifests, part_of
from lung_srad_plugin.training.data_sets import DataSetDraws, check_each_is_scored, plan_draws
from lung_srad_plugin.training.distributed import run_on_main
from lung_srad_plugin.training.unlabelled import UNLABELLED, read_unlabelled


@dataclass(frozen=True)
class RunData:
    """The data of a run, ready to train on.

    Arguments
    ---------
    split : dict
        What results state of the split: ``split``, ``split_sha256`` and ``notes``.
    manifests : PartsSummary
    rows : dict of list of dict
        The rows of the manifests by part, those of ``manifests_of``.
    datasets : dict of DynamicItemDataset
        By part.
    class_weights : torch.Tensor
        (C,), of the cross-entropy; where data sets have shares, computed from how often an epoch draws each class.
    draws : DataSetDraws or None
        What an epoch draws of each data set; None for every cycle once.
    """

    split: dict[str, Any]
    manifests: PartsSummary
    rows: dict[str, list[dict[str, Any]]]
    datasets: dict[str, DynamicItemDataset]
    class_weights: torch.Tensor
    draws: DataSetDraws | None


def prepare_data(hparams: dict[str, Any], teacher: TeacherTable | None = None) -> RunData:
    """Prepare and check the manifests of a run, and compute the features of all its cycles.

    Arguments
    ---------
    hparams : dict
        The built experiment.
    teacher : TeacherTable, optional
        Whose embeddings the training cycles get; it is standardised by them.

    Raises
    ------
    LungSRADError
        Where the recordings or manifests are faulty, or cannot be trained on or scored.
    """
    split = split_data(hparams)
    manifests = check_manifests(hparams)
    rows = {part: manifest.rows for part, manifest in manifests.parts.items()}
    draws = plan_epochs(hparams, rows["train"])
    unlabelled = read_unlabelled(hparams, rows)
    if teacher is not None:
        taught = [*rows["train"], *unlabelled]
        teacher.standardize(taught)
        run_on_main(_print, teacher.describe_missing(taught))
    run_on_main(fill_cache, hparams["feature_cache"], {**rows, "unlabelled": unlabelled})
    if unlabelled:
        name = Path(hparams["unlabelled_csv"]).name
        note = f"distilled also on the {len(unlabelled)} cycles of {name}, whose labels were not used"
        split = {**split, "notes": [*split["notes"], note]}
    label_encoder = make_label_encoder(hparams["labels"])
    make = partial(make_dataset, feature_cache=hparams["feature_cache"], label_encoder=label_encoder)
    shares = None
    if hparams["prior_correction"]:
        data_sets = [row.get("dataset") for row in rows["train"]]
        shares = log_shares([row["label"] for row in rows["train"]], data_sets, hparams["labels"])
    counts = class_counts(rows["train"], hparams["labels"], draws)
    return RunData(
        split=split,
        manifests=manifests,
        rows=rows,
        datasets={
            "train": make([*rows["train"], *unlabelled], teacher=teacher, shares=shares),
            **{part: make(of_part) for part, of_part in rows.items() if part != "train"},
        },
        class_weights=class_weights(counts, hparams["class_weighting"]),
        draws=draws,
    )


def split_data(hparams: dict[str, Any]) -> dict[str, Any]:
    """Write the manifests of the data set, unless the user brings manifests; return what results state of the split."""
    if hparams["skip_prep"]:
        return {"split": "own manifests", "split_sha256": None, "notes": []}
    folder = Path(hparams["train_csv"]).parent
    run_on_main(prepare_data_set, hparams, folder)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {"split": summary["protocol"], "split_sha256": summary["split"]["sha256"], "notes": summary["notes"]}


def plan_epochs(hparams: dict[str, Any], rows: list[dict[str, Any]]) -> DataSetDraws | None:
    """Return what an epoch draws of each data set, and print it; None without ``sampling_weights``."""
    if hparams["sampling_weights"] is None:
        return None
    draws = plan_draws(rows, hparams["sampling_weights"], hparams["train_csv"])
    run_on_main(_print, draws.text())
    return draws


def class_counts(rows: list[dict[str, Any]], labels: list[str], draws: DataSetDraws | None) -> dict[str, float]:
    """Return how many cycles of each class an epoch has, on average where they are drawn: what class weights need."""
    names = [row["label"] for row in rows]
    if draws is not None:
        return draws.class_counts(names, labels)
    counts = Counter(names)
    return {label: counts[label] for label in labels}


def fill_cache(feature_cache: FeatureCache, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Compute the features of all parts before training, so that no epoch waits for them; print how empty they are."""
    feature_cache.fill([row for part in rows.values() for row in part])
    _print(describe_floor(feature_cache, rows["train"]))


def _print(text: str | None) -> None:
    if text is not None:
        Console().print(text, highlight=False, markup=False, soft_wrap=True)


def check_manifests(hparams: dict[str, Any]) -> PartsSummary:
    """Validate the manifests together, and refuse what cannot be trained on or scored."""
    paths = manifests_of(hparams)
    tests = {part: path for part, path in paths.items() if part not in ("train", "valid")}
    summary = validate_parts(paths["train"], paths["valid"], tests, hparams["labels"], hparams["data_folder"])
    normal = hparams["labels"][0]
    for part in ("valid", *tests):
        counts = summary.parts[part].labels
        if counts[normal] in (0, sum(counts.values())):
            raise LungSRADError(f"{paths[part]}: needs {normal} and other cycles to be scored; it has {counts}")
    if hparams["select_over"] == "datasets":
        for part in ("valid", *tests) if hparams["report_test_selected"] else ("valid",):
            check_each_is_scored(summary.parts[part].rows, normal, paths[part])
    cycles, needed = len(summary.parts["train"].rows), hparams["batch_size"] * hparams["processes"]
    if cycles < needed:
        each = f" in each of {hparams['processes']} processes" if hparams["processes"] > 1 else ""
        raise LungSRADError(
            f"{paths['train']}: {cycles} cycles make no batch of {hparams['batch_size']}{each}; lower batch_size"
        )
    return summary


def manifests_of(hparams: Mapping[str, Any]) -> dict[str, str]:
    """Return the manifest of each part of a run: ``train``, ``valid`` and those of its test sets.

    Example
    -------
    >>> tests = {"inter": "inter.csv", "intra": "intra.csv"}
    >>> list(manifests_of({"train_csv": "train.csv", "valid_csv": "valid.csv", "test_csv": tests}))
    ['train', 'valid', 'test_inter', 'test_intra']
    """
    tests = named_manifests(hparams["test_csv"])
    own = {part: hparams[f"{part}_csv"] for part in ("train", "valid")}
    return own | {part_of(name): path for name, path in tests.items()}


def make_dataset(
    rows: list[dict[str, Any]],
    feature_cache: FeatureCache,
    label_encoder: CategoricalEncoder,
    teacher: TeacherTable | None = None,
    shares: dict[str | None, torch.Tensor] | None = None,
) -> DynamicItemDataset:
    """Return a ``DynamicItemDataset`` with ``id``, ``feats`` (T, F) and ``target`` (an index) of each cycle.

    Arguments
    ---------
    rows : list of dict
        Rows of a manifest with ``ID``, ``wav``, ``start``, ``stop`` and ``label``, None for ``UNLABELLED``.
    feature_cache : FeatureCache
        Computes the features of a cycle, or reads them.
    label_encoder : CategoricalEncoder
        Gives the index of a label.
    teacher : TeacherTable, optional
        Adds ``teacher`` (E,), its embedding of each cycle.
    shares : dict of torch.Tensor, optional
        Adds ``log_share`` (C,), that of each cycle's data set, as ``log_shares`` returns them.
    """

    @takes("wav", "start", "stop")
    @provides("feats")
    def features(wav, start, stop):
        return feature_cache(wav, start, stop)

    @takes("label")
    @provides("target")
    def target(label):
        return UNLABELLED if label is None else label_encoder.encode_label(label, allow_unk=False)

    @takes("wav", "start", "stop")
    @provides("teacher")
    def embedding(wav, start, stop):
        return teacher({"wav": wav, "start": start, "stop": stop})

    @takes("dataset", "label")
    @provides("log_share")
    def log_share(dataset, label):
        return torch.zeros(len(label_encoder)) if label is None else shares[dataset]

    items, outputs = [features, target], ["id", "feats", "target"]
    if teacher is not None:
        items.append(embedding)
        outputs.append("teacher")
    if shares is not None:
        items.append(log_share)
        outputs.append("log_share")
    keys = ("wav", "start", "stop", "label")
    data = {row["ID"]: {key: row[key] for key in keys} | {"dataset": row.get("dataset")} for row in rows}
    return DynamicItemDataset(data, items, outputs)
