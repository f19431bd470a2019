"""A run that trains only a head: a linear classifier on the embeddings of a frozen encoder or of a table."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from lung_srad_plugin.datasets.synthetic.marker import is_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.embeddings import EmbeddingCache
from lung_srad_plugin.export.stored_model import read_model
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.starter_model import model_path
from lung_srad_plugin.labels import make_label_encoder
from lung_srad_plugin.nn.distillation import TeacherTable
from lung_srad_plugin.nn.prior_correction import log_shares
from lung_srad_plugin.runs.command_line import CommandLine
from lung_srad_plugin.runs.record import Probe, RunResults
from lung_srad_plugin.runs.run_folder import COMPLETE, find_checkpoint
from lung_srad_plugin.runs.selection import EpochSelection, metrics_of_part
from lung_srad_plugin.training.brain import CompletionMark
from lung_srad_plugin.training.data_sets import data_sets_by_id
from lung_srad_plugin.training.dataio import RunData, check_manifests, split_data
from lung_srad_plugin.training.initial_weights import load_initial_weights
from lung_srad_plugin.training.linear_probe import LinearProbe, choose_strength, describe_strength, fit_linear_probe
from lung_srad_plugin.training.predictions import Predictions
from lung_srad_plugin.training.selected import SelectedEpochs, score_epoch
from lung_srad_plugin.training.state import prediction_stats
from lung_srad_plugin.training.summary import describe_protocol
from lung_srad_plugin.utils.folders import is_folder
from lung_srad_plugin.utils.progress import progress_bars
from lung_srad_plugin.utils.provenance import (
    file_sha256,
    package_versions,
    peak_memory_megabytes,
    source_commit,
)

EPOCH = 1  # what results call the only state that a probe has


@dataclass(frozen=True)
class ProbedRun:
    """What a probe leaves to be written.

    Arguments
    ---------
    results : RunResults
    selected : SelectedEpochs
    checkpoint : Path or None
        Of encoder and head; None where embeddings came from a table.
    """

    results: RunResults
    selected: SelectedEpochs
    checkpoint: Path | None


def run_probe(command: CommandLine, hparams: dict[str, Any]) -> ProbedRun:
    """Compute or read the embeddings of all cycles, fit the head on the training part, and score it.

    Arguments
    ---------
    command : CommandLine
    hparams : dict
        The built experiment, with ``probe: True``.

    Raises
    ------
    LungSRADError
        Where data, weights or table are not as they must be, or the patients cannot be divided into folds.
    """
    began = time.time()
    if hparams["processes"] > 1:
        raise LungSRADError(f"probe: True with {hparams['processes']} processes; start one, without torchrun")
    data = _prepare(hparams)
    labels, table = list(hparams["labels"]), hparams["embeddings"]
    if table is None:
        pretrained = load_initial_weights(hparams)
        classifier = make_classifier(hparams, data.rows["train"], command.run_opts.device)
        embed: Callable = EmbeddingCache(hparams["embedding_folder"], classifier, hparams["batch_size"])
    else:
        pretrained, classifier = None, None
        embed = TeacherTable(table).embeddings_of
    embeddings = _embed(embed, data.rows)
    targets = {part: np.array([labels.index(row["label"]) for row in rows]) for part, rows in data.rows.items()}
    probe, chosen = _fit(hparams, embeddings["train"], targets["train"], data.rows["train"])
    predictions = {
        part: Predictions([row["ID"] for row in rows], targets[part], probe.log_probs(embeddings[part]))
        for part, rows in data.rows.items()
        if part != "train" or hparams["report_train"]
    }
    checkpoint = None
    if classifier is not None:
        stats = prediction_stats(predictions["valid"], labels, data_sets_by_id(data.rows["valid"]))
        checkpoint = _save(hparams, probe, {"epoch": EPOCH, **metrics_of_part("valid", stats)})
    scores, tables = score_epoch(EPOCH, predictions, data, labels)
    selected = SelectedEpochs({"valid": scores}, {"valid": tables}, {"valid": True}, [])
    notes = list(data.split["notes"])
    if not probe.converged:
        notes.append("the logistic regression ended at its limit of iterations, before it converged")
    protocol = describe_protocol(hparams, data, selected, EpochSelection.of_settings(hparams), notes)
    text = describe_strength(chosen, hparams["probe_folds"], hparams["select_by"])
    encoder_size = sum(parameter.numel() for parameter in hparams["embedding_model"].parameters())
    device = "cpu" if classifier is None else classifier.device
    results = RunResults(
        experiment=Path(command.file).stem,
        labels=labels,
        protocol=protocol.model_copy(update={"selection": {"valid": f"logistic regression on embeddings: {text}"}}),
        selected=selected.scores,
        seed=hparams["seed"],
        data_folder=str(hparams["data_folder"]),
        synthetic=is_synthetic(hparams["data_folder"]),
        pretrained=pretrained,
        parameters=encoder_size if table is None else probe.weight.size + probe.bias.size,
        device=device,
        precision={"training": "fp64", "evaluation": hparams["eval_precision"]},
        probe=Probe(
            c=chosen.c,
            folds=hparams["probe_folds"],
            select_by=hparams["select_by"],
            metrics={f"{c:g}": round(metric, 4) for c, metric in chosen.metrics.items()},
            class_weighting=hparams["class_weighting"],
            embeddings=None if table is None else {"source": Path(table).name, "sha256": file_sha256(table)},
        ),
        commit=source_commit(),
        versions=package_versions(),
        seconds=round(time.time() - began, 1),
        peak_memory_megabytes=peak_memory_megabytes(device),
    )
    return ProbedRun(results, selected, checkpoint)


def make_classifier(
    hparams: dict[str, Any], train_rows: Sequence[Mapping[str, Any]], device: str | None
) -> LungSoundClassifier:
    """Return the experiment's modules, with the weights they have, as a model that processes recordings.

    Where ``pretrained`` is a model folder, its front end must be the experiment's: a frozen encoder cannot get used to
    another. Statistics of its normalisation are taken over; else they are those of the training cycles.

    Raises
    ------
    LungSRADError
        Where the front ends differ.
    """
    names = ("compute_features", "mean_var_norm", "embedding_model", "classifier")
    modules = {name: hparams[name] for name in names}
    if hparams["pretrained"] is not None and is_folder(model_path(hparams["pretrained"])):
        stored = read_model(model_path(hparams["pretrained"])).modules
        for name in names[:2]:
            if repr(stored[name]) != repr(modules[name]):
                raise LungSRADError(
                    f"pretrained: {hparams['pretrained']} was trained on other features; set those of its "
                    f"hyperparams.yaml. {name} is there {_in_one_line(stored[name])} and here "
                    f"{_in_one_line(modules[name])}"
                )
        modules["mean_var_norm"].load_state_dict(stored["mean_var_norm"].state_dict())
    else:
        cache = hparams["feature_cache"]
        modules["mean_var_norm"].fit(cache(row["wav"], row["start"], row["stop"]) for row in train_rows)
    options = {"precision": hparams["eval_precision"]} | ({} if device is None else {"device": device})
    settings = {"label_encoder": make_label_encoder(hparams["labels"]), "sample_rate": hparams["sample_rate"]}
    return LungSoundClassifier(modules, settings, options)


def _prepare(hparams):
    split = split_data(hparams)
    manifests = check_manifests(hparams)
    rows = {part: manifest.rows for part, manifest in manifests.parts.items()}
    return RunData(split, manifests, rows, datasets={}, class_weights=torch.ones(len(hparams["labels"])), draws=None)


def _embed(embed, rows):
    """The embeddings (N, D) of each part, with a progress bar over all of them."""
    found, done, total = {}, 0, sum(map(len, rows.values()))
    with progress_bars() as progress:
        task = progress.add_task("Computing embeddings", total=total)
        for part, of_part in rows.items():

            def advance(cycles, _, before=done):
                progress.update(task, completed=before + cycles)

            found[part] = embed(of_part, advance)
            done += len(of_part)
    return found


def _fit(hparams, embeddings, targets, rows):
    labels, class_weighting = hparams["labels"], hparams["class_weighting"]
    shares = _log_shares(hparams, rows)
    with progress_bars() as progress:
        task = progress.add_task("Choosing the strength", total=None)
        chosen = choose_strength(
            embeddings,
            targets,
            [row.get("patient") or "" for row in rows],
            labels,
            hparams["probe_c"],
            hparams["probe_folds"],
            class_weighting,
            hparams["select_by"],
            hparams["split_seed"],
            lambda done, total: progress.update(task, completed=done, total=total),
            shares,
        )
    return fit_linear_probe(embeddings, targets, labels, chosen.c, class_weighting, shares), chosen


def _log_shares(hparams, rows):
    """What ``prior_correction`` takes from the outputs: of one data set it is the same for all cycles."""
    if not hparams["prior_correction"]:
        return None
    shares = log_shares([row["label"] for row in rows], [row.get("dataset") for row in rows], hparams["labels"])
    if len(shares) > 1:
        raise LungSRADError(
            f"prior_correction: True with the data sets {', '.join(map(str, shares))}; a probe corrects for one data "
            "set; set it to False, with class_weighting inverse for example"
        )
    return next(iter(shares.values())).double().numpy()


def _save(hparams: dict[str, Any], probe: LinearProbe, meta: dict[str, Any]) -> Path:
    """Give the classifier the probe's weights, and save a checkpoint of encoder and classifier; return its folder."""
    linear = cast(torch.nn.Linear, hparams["classifier"].linear)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(probe.weight))
        linear.bias.copy_(torch.from_numpy(probe.bias))
    checkpointer = hparams["checkpointer"]
    if hparams["mean_var_norm"].state_dict():
        checkpointer.add_recoverable("mean_var_norm", hparams["mean_var_norm"])
    checkpointer.add_recoverable(COMPLETE, CompletionMark())
    checkpointer.save_and_keep_only(meta=meta, num_to_keep=1)
    return Path(find_checkpoint(checkpointer, "valid", EpochSelection.of_settings(hparams)).path)


def _in_one_line(module):
    return " ".join(str(module).split())
