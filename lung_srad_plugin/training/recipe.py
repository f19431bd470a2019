"""The recipe: from a hyperparameter file to a trained model, its scores and the folder to classify with."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import speechbrain as sb
from rich.console import Console
from rich.markup import escape
from speechbrain.utils.distributed import if_main_process, run_on_main

from lung_srad_plugin.audio.floor import describe_floor
from lung_srad_plugin.datasets.manifests import validate_manifests
from lung_srad_plugin.datasets.preparation import prepare_data_set
from lung_srad_plugin.encoders.pretrained import load_pretrained
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.command import evaluate
from lung_srad_plugin.evaluation.manifest_table import join_predictions
from lung_srad_plugin.export.export import export_checkpoint
from lung_srad_plugin.labels import make_label_encoder
from lung_srad_plugin.metrics.table_metrics import score_intervals
from lung_srad_plugin.metrics.validation_fit import fit_on_validation, nothing_fitted
from lung_srad_plugin.nn.distillation import DistillationHead, TeacherTable
from lung_srad_plugin.nn.losses import class_weights
from lung_srad_plugin.runs.command_line import read_command_line
from lung_srad_plugin.runs.experiment import experiment_settings, load_experiment, read_experiment
from lung_srad_plugin.runs.results import RULES, rule_text, score_predictions, write_results, write_run_predictions
from lung_srad_plugin.runs.settings import check_settings, fill_defaults
from lung_srad_plugin.training.brain import LungSoundBrain
from lung_srad_plugin.training.dataio import make_dataset
from lung_srad_plugin.training.distributed import join_process_group, leave_process_group
from lung_srad_plugin.training.resume import check_resumable
from lung_srad_plugin.utils.provenance import file_sha256, package_versions, peak_memory_megabytes, source_commit
from lung_srad_plugin.utils.threads import respect_cpu_quota

PARTS = ("train", "valid", "test")
REPORT = "report"


def train(arguments):
    """Run an experiment: prepare the data, train, evaluate, export the model, write results and a report.

    Running it again with the same settings goes on from the last checkpoint; a finished run is evaluated anew.

    Arguments
    ---------
    arguments : list of str
        What stands on the command line: a hyperparameter file, ``--key value`` for each key of it to replace, and
        SpeechBrain's run options such as ``--device cuda`` or ``--test_only``.

    Returns
    -------
    dict
        What ``results.json`` holds, without the history.

    Raises
    ------
    LungSRADError
        Where the settings, the data or the weights are not as they must be, or the output folder holds a run with
        other settings.
    """
    began = time.time()
    respect_cpu_quota()
    command = read_command_line(arguments)
    file, run_opts = command.file, command.run_opts
    base, changes = read_experiment(file, command.overrides)
    check_settings(experiment_settings(base, changes), file)
    join_process_group(run_opts)
    run_on_main(check_resumable, args=[base, changes])
    hparams = load_experiment(base, changes)
    fill_defaults(hparams)
    sb.create_experiment_directory(
        hparams["output_folder"], hyperparams_to_save=base, overrides=changes, save_env_desc=False
    )

    prepared = prepare_data(hparams)
    manifests, rows = load_manifests(hparams)
    run_on_main(fill_cache, args=[hparams["feature_cache"], rows])
    fit_normalization(hparams, rows["train"])
    label_encoder = make_label_encoder(hparams["labels"])
    datasets = {part: make_dataset(rows[part], hparams["feature_cache"], label_encoder) for part in rows}
    if hparams["teacher"] is not None:
        teacher = add_teacher(hparams, rows["train"])
        datasets["train"] = make_dataset(rows["train"], hparams["feature_cache"], label_encoder, teacher)
    counts = Counter(row["label"] for row in rows["train"])
    hparams["class_weights"] = class_weights(
        {label: counts[label] for label in hparams["labels"]}, hparams["class_weighting"]
    )
    pretrained = None
    if hparams["pretrained"] is not None:
        sha256 = load_pretrained(
            hparams["embedding_model"], hparams["pretrained"], hparams["save_folder"], hparams["pretrained_sha256"]
        )
        pretrained = {"source": str(hparams["pretrained"]), "sha256": sha256}

    brain = LungSoundBrain(
        hparams["modules"], hparams["opt_class"], hparams, run_opts, checkpointer=hparams["checkpointer"]
    )
    brain.test_set = datasets["test"]
    brain.fit(
        hparams["epoch_counter"],
        datasets["train"],
        datasets["valid"],
        train_loader_kwargs=hparams["train_loader_kwargs"],
        valid_loader_kwargs=hparams["valid_loader_kwargs"],
        progressbar=sys.stderr.isatty() and not brain.noprogressbar,
    )
    selected, tables, history = evaluate_selections(brain, datasets, rows, manifests.valid_is_test)
    results = {
        "experiment": Path(file).stem,
        "labels": list(hparams["labels"]),
        "protocol": {
            **prepared,
            "valid_is_test": manifests.valid_is_test,
            "patients_shared": manifests.shared_patients,
            "sha256": {part: file_sha256(hparams[f"{part}_csv"]) for part in PARTS},
            "selection": {rule: rule_text(rule, manifests.valid_is_test) for rule in selected},
        },
        "selected": selected,
        "seed": hparams["seed"],
        "data_folder": str(hparams["data_folder"]),
        "pretrained": pretrained,
        "parameters": sum(parameter.numel() for parameter in hparams["embedding_model"].parameters()),
        "device": brain.device,
        "precision": {"training": brain.precision, "evaluation": brain.eval_precision},
        "commit": source_commit(),
        "versions": package_versions(),
        "seconds": round(time.time() - began, 1),
        "peak_memory_megabytes": peak_memory_megabytes(brain.device),
    }
    best = brain.find_checkpoint("valid_score").path
    run_on_main(_report, args=[results, tables, history, best, hparams["output_folder"]])
    return results


def prepare_data(hparams):
    """Write the manifests of the data set, unless the user brings manifests; return what results say of the split."""
    if hparams["skip_prep"]:
        return {"split": "own manifests", "split_sha256": None, "notes": []}
    folder = Path(hparams["train_csv"]).parent
    run_on_main(prepare_data_set, args=[hparams, folder])
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {"split": summary["protocol"], "split_sha256": summary["split"]["sha256"], "notes": summary["notes"]}


def load_manifests(hparams):
    """Validate the three manifests together; return their ``ManifestsSummary`` and their rows by part."""
    paths = [hparams[f"{part}_csv"] for part in PARTS]
    summary = validate_manifests(*paths, labels=hparams["labels"], data_root=hparams["data_folder"])
    normal = hparams["labels"][0]
    for part, path in zip(PARTS[1:], paths[1:], strict=True):
        counts = getattr(summary, part).labels
        if counts[normal] in (0, sum(counts.values())):
            raise LungSRADError(f"{path}: needs {normal} and other cycles to be scored; it has {counts}")
    if len(summary.train.rows) < hparams["batch_size"]:
        raise LungSRADError(
            f"{paths[0]}: {len(summary.train.rows)} cycles make no batch of {hparams['batch_size']}; lower batch_size"
        )
    return summary, {part: getattr(summary, part).rows for part in PARTS}


def fill_cache(feature_cache, rows):
    """Compute the features of all parts before training, so that no epoch waits for them; say how empty they are."""
    feature_cache.fill([row for part in rows.values() for row in part])
    Console().print(describe_floor(feature_cache, rows["train"]), highlight=False, markup=False, soft_wrap=True)


def fit_normalization(hparams, rows):
    """Give the normalisation the statistics of the training part, where it takes them, and keep them in checkpoints."""
    normalization, feature_cache = hparams["mean_var_norm"], hparams["feature_cache"]
    normalization.fit(feature_cache(row["wav"], row["start"], row["stop"]) for row in rows)
    if normalization.state_dict():
        # A run that is resumed or tested takes the statistics of its checkpoint instead.
        hparams["checkpointer"].add_recoverable("mean_var_norm", normalization)


def add_teacher(hparams, rows):
    """Read the teacher's table, standardise it by the training rows, and give the model a head for its embeddings."""
    teacher = TeacherTable(hparams["teacher"])
    teacher.standardize(rows)
    head = DistillationHead(hparams["embedding_model"].embedding_dim, teacher.size)
    hparams["model"].distillation_head = head
    hparams["checkpointer"].add_recoverable("distillation_head", head)
    return teacher


def evaluate_selections(brain, datasets, rows, valid_is_test):
    """Test the epoch that each rule picks, and calibrate it on the validation cycles.

    Returns
    -------
    (dict, dict, list of dict)
        By rule, the epoch, its scores, and its temperature and thresholds, or why there are none; by rule, the tables
        of its predictions on ``valid`` and ``test``; and the history of the whole run.
    """
    keys = {"last": "epoch", "valid": "valid_score"}
    if brain.hparams.report_test_selected:
        keys["test"] = "test_score"
    labels = brain.hparams.labels
    of_rule, tables, of_epoch, history = {}, {}, {}, None
    for rule, key in keys.items():
        epoch = brain.find_checkpoint(key).meta["epoch"]
        if epoch not in of_epoch:
            brain.evaluate(
                datasets["test"],
                max_key=key,
                progressbar=False,
                test_loader_kwargs=dict(brain.hparams.test_loader_kwargs),
            )
            said = {"test": brain.predictions, "valid": brain.predict(datasets["valid"])}
            scores = {"epoch": epoch, **score_predictions(said["test"], labels)}
            if brain.hparams.report_train:
                scores["train"] = score_predictions(brain.predict(datasets["train"]), labels)
            said = {part: join_predictions(rows[part], answers, labels) for part, answers in said.items()}
            scores.update(_fit_on_valid(said["valid"], valid_is_test))
            if all(row.get("patient", "").strip() for row in rows["test"]):
                scores["intervals"] = score_intervals(said["test"])
            of_epoch[epoch] = scores, said
        # Each checkpoint holds the history up to its own epoch; the last one, which is the first here, holds it all.
        history = history or brain.state.history
        of_rule[rule], tables[rule] = of_epoch[epoch]
    return {rule: of_rule[rule] for rule in RULES if rule in of_rule}, tables, history


def _fit_on_valid(table, valid_is_test):
    """Return the stored record of what is fitted on validation cycles; nothing is where these are the test cycles."""
    if valid_is_test:
        return nothing_fitted("the validation cycles were the test cycles, which nothing may be fitted on").to_dict()
    return fit_on_validation(table).to_dict()


def _report(results, tables, history, checkpoint, output_folder):
    Console().print(write_results(results, history, output_folder))
    write_run_predictions(tables, output_folder)
    # This very process was asked to run these settings.
    export_checkpoint(output_folder, checkpoint, Path(output_folder) / "export", trust_code=True)
    _evaluate(Path(output_folder))


def _evaluate(folder):
    """Write the evaluation report; where the manifests lack what it needs, say so: the run itself is complete."""
    try:
        evaluate(folder, folder / REPORT)
    except LungSRADError as error:
        text = f"[yellow]no report:[/yellow] {escape(str(error))}"
    else:
        text = f"report: {folder / REPORT / 'report.html'}"
    Console().print(text, highlight=False, soft_wrap=True)


def main(arguments):
    """Run ``train`` as a program: return its exit code, and print a user's mistake as one sentence.

    Returns
    -------
    int
        0 where all went well, 2 where the settings or the data must be mended.
    """
    try:
        train(arguments)
    except LungSRADError as error:
        if if_main_process():
            Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    finally:
        leave_process_group()
    return 0
