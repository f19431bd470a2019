"""The recipe: from a hyperparameter file to a trained model, its scores and the folder to classify with."""

import errno
import sys
import time
from pathlib import Path
from typing import Any

import speechbrain as sb
from rich.console import Console
from rich.markup import escape
from speechbrain.utils.distributed import if_main_process

from lung_srad_plugin.datasets.synthetic.marker import is_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.command import evaluate
from lung_srad_plugin.evaluation.options import EvaluationOptions
from lung_srad_plugin.export.export import export_checkpoint
from lung_srad_plugin.export.model_folder import read_config
from lung_srad_plugin.nn.adapters import count_parameters, import_peft
from lung_srad_plugin.runs.command_line import CommandLine, read_command_line
from lung_srad_plugin.runs.experiment import experiment_settings, load_experiment, read_experiment, resolved_text
from lung_srad_plugin.runs.lock import RunLock
from lung_srad_plugin.runs.named_tests import ONLY, named_manifests
from lung_srad_plugin.runs.record import RunResults
from lung_srad_plugin.runs.results import write_results, write_run_predictions
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.runs.settings import check_settings, fill_defaults
from lung_srad_plugin.training.adapters import adapt_encoder
from lung_srad_plugin.training.brain import LungSoundBrain
from lung_srad_plugin.training.data_sets import data_sets_by_id
from lung_srad_plugin.training.dataio import RunData, prepare_data
from lung_srad_plugin.training.distributed import join_process_group, leave_process_group, run_on_main
from lung_srad_plugin.training.initial_weights import load_initial_weights
from lung_srad_plugin.training.probe import run_probe
from lung_srad_plugin.training.resume import check_resumable, choose_processes
from lung_srad_plugin.training.selected import SelectedEpochs, evaluate_selections, notes_of_selections
from lung_srad_plugin.training.summary import describe_protocol, describe_training
from lung_srad_plugin.training.teachers import add_teacher
from lung_srad_plugin.utils.provenance import package_versions, peak_memory_megabytes, source_commit
from lung_srad_plugin.utils.threads import respect_cpu_quota

# What the file system answers where a folder cannot be written.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


def train(arguments: list[str]) -> dict[str, Any]:
    """Run an experiment: prepare the data, train, evaluate, export the model, write results and a report.

    Running it again with the same settings resumes from the last checkpoint; a finished run is evaluated anew.

    Arguments
    ---------
    arguments : list of str
        The words of the command line: a hyperparameter file, or the name of one that comes with the package;
        ``--key value`` for each key of it to replace; and SpeechBrain's run options such as ``--device cuda`` or
        ``--test_only``.

    Returns
    -------
    dict
        What ``results.json`` holds, without the history.

    Raises
    ------
    LungSRADError
        Where the settings, the data or the weights are not as they must be, training diverges, or the output folder
        holds a run with other settings or is in use.
    """
    began = time.time()
    respect_cpu_quota()
    command = read_command_line(arguments)
    base, changes = read_experiment(command.file, command.overrides)
    settings = experiment_settings(base, changes)
    check_settings(settings, command.file)
    if if_main_process():
        Console().print(f"experiment: {escape(command.file)}", highlight=False, soft_wrap=True)
    if settings.get("lora_rank") is not None:
        import_peft()
    run = RunFolder(settings["output_folder"])
    join_process_group(command.run_opts)
    lock = RunLock(run)
    run_on_main(lock.acquire)
    try:
        processes = choose_processes(command, base, changes)
        if "processes" in settings:  # runs of version 0.1 do not have it
            changes["processes"] = processes
        run_on_main(check_resumable, base, changes)
        run_on_main(run.refuse_foreign_files, named_manifests(settings["test_csv"]))
        hparams = make_experiment(base, changes) | {"processes": processes}
        if hparams["probe"]:
            probed = run_probe(command, hparams)
            finish(probed.results, probed.selected, probed.checkpoint, run)
            return probed.results.as_dict()
        pretrained = load_initial_weights(hparams)  # first: filling the cache takes minutes
        teacher = add_teacher(hparams)
        data = prepare_data(hparams, teacher)
        fit_normalization(hparams, data)
        adapt_encoder(hparams, run)
        brain = fit(hparams, data, command)
        selected = evaluate_selections(brain, data)
        results = make_results(command, hparams, data, brain, selected, pretrained, time.time() - began)
        run_on_main(finish, results, selected, brain.find_checkpoint("valid").path, run)
    finally:
        lock.release()
    return {key: value for key, value in results.as_dict().items() if key != "history"}


def make_experiment(base: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Build the objects of the experiment, and write its settings to its output folder."""
    hparams = load_experiment(base, changes)
    fill_defaults(hparams)
    sb.create_experiment_directory(hparams["output_folder"], save_env_desc=False)
    run_on_main(RunFolder(hparams["output_folder"]).write_settings, base, resolved_text(base, changes))
    return hparams


def fit_normalization(hparams: dict[str, Any], data: RunData) -> None:
    """Give the normalisation the statistics of the training part, where it takes them, and keep them in checkpoints."""
    normalization, feature_cache = hparams["mean_var_norm"], hparams["feature_cache"]
    normalization.fit(feature_cache(row["wav"], row["start"], row["stop"]) for row in data.rows["train"])
    if normalization.state_dict():
        # A run that is resumed or tested takes the statistics of its checkpoint instead.
        hparams["checkpointer"].add_recoverable("mean_var_norm", normalization)


def fit(hparams: dict[str, Any], data: RunData, command: CommandLine) -> LungSoundBrain:
    """Train, or resume training from the last checkpoint; with ``--test_only`` do neither."""
    hparams["class_weights"] = data.class_weights
    brain = LungSoundBrain(
        hparams["modules"], hparams["opt_class"], hparams, command.run_opts, checkpointer=hparams["checkpointer"]
    )
    brain.test_set, brain.draws = data.datasets.get(ONLY), data.draws
    brain.data_sets = {part: data_sets_by_id(rows) for part, rows in data.rows.items() if part != "train"}
    brain.fit(
        hparams["epoch_counter"],
        data.datasets["train"],
        data.datasets["valid"],
        train_loader_kwargs=hparams["train_loader_kwargs"],
        valid_loader_kwargs=hparams["valid_loader_kwargs"],
        progressbar=sys.stderr.isatty() and not brain.noprogressbar,
    )
    return brain


def make_results(
    command: CommandLine,
    hparams: dict[str, Any],
    data: RunData,
    brain: LungSoundBrain,
    selected: SelectedEpochs,
    pretrained: dict[str, str] | None,
    seconds: float,
) -> RunResults:
    """Return the record of the run: its scores, and everything that they depend on."""
    notes = [*data.split["notes"], *notes_of_selections(selected, brain)]
    return RunResults(
        experiment=Path(command.file).stem,
        labels=list(hparams["labels"]),
        protocol=describe_protocol(hparams, data, selected, brain.selection, notes),
        selected=selected.scores,
        seed=hparams["seed"],
        data_folder=str(hparams["data_folder"]),
        synthetic=is_synthetic(hparams["data_folder"]),
        pretrained=pretrained,
        parameters=count_parameters(hparams["embedding_model"]),
        device=brain.device,
        precision={"training": brain.precision, "evaluation": brain.eval_precision},
        training=describe_training(hparams, brain),
        commit=source_commit(),
        versions=package_versions(),
        seconds=round(seconds, 1),
        peak_memory_megabytes=peak_memory_megabytes(brain.device),
        history=selected.history,
    )


def finish(results: RunResults, selected: SelectedEpochs, checkpoint: Path | None, run: RunFolder) -> None:
    """Write the results, the predictions, the exported model and the report of a run, and print its table.

    Without a checkpoint there is no model to export.
    """
    console = Console()
    console.print(write_results(results, run))
    write_run_predictions(selected.tables, run)
    if checkpoint is not None:
        # This very process was asked to run these settings.
        config = read_config(export_checkpoint(run.path, checkpoint, run.export, trust_code=True))
        if config.novelty is not None and config.novelty.reason is not None:
            text = f"[yellow]no detector of unlike sounds:[/yellow] {escape(config.novelty.reason)}"
            console.print(text, highlight=False, soft_wrap=True)
    for name in results.selected["valid"].tests:
        folder = run.report_on(name)
        try:
            evaluate(run.path, folder, EvaluationOptions(test_set=name))
        except LungSRADError as error:
            # Where the manifests lack what the report needs, the run itself is complete.
            text = f"[yellow]no report:[/yellow] {escape(str(error))}"
        else:
            text = f"report: {escape(str(folder / 'report.html'))}"
        console.print(text, highlight=False, soft_wrap=True)


def main(arguments: list[str]) -> int:
    """Run ``train`` as a program: return its exit code, and print a user's mistake as one sentence.

    Returns
    -------
    int
        0 after a finished run, 2 where the user has to change the settings, the data or the folder.
    """
    try:
        train(arguments)
    except LungSRADError as error:
        return _refuse(str(error))
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        return _refuse(
            f"{error.filename or 'the output folder'}: cannot be written ({error.strerror}); choose an output_folder "
            "with free space that you may write to. A run resumes there from its last checkpoint"
        )
    finally:
        leave_process_group()
    return 0


def _refuse(message):
    if if_main_process():
        Console(stderr=True).print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    return 2
