"""Whether the run in an output folder may be resumed or evaluated: only by the settings that it began with."""

from pathlib import Path
from typing import Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.command_line import CommandLine
from lung_srad_plugin.runs.experiment import NEUTRAL_SETTINGS, describe_difference, experiment_settings
from lung_srad_plugin.runs.run_folder import RunFolder, has_checkpoints
from lung_srad_plugin.runs.saved_settings import experiment_calls
from lung_srad_plugin.runs.settings import fill_defaults
from lung_srad_plugin.training.distributed import count_processes

# What may change between two starts of one run, since it changes neither its weights nor which epochs are selected.
FREE_SETTINGS = (*NEUTRAL_SETTINGS, "skip_prep", "eval_precision", "report_train")


def check_resumable(base: Path, changes: dict[str, Any]) -> None:
    """Refuse to resume a run under other settings than its own: its results would not be what they state.

    Where the experiment's output folder holds no checkpoint there is nothing to refuse.

    Arguments
    ---------
    base, changes
        The experiment asked for, as ``read_experiment`` returned it.

    Raises
    ------
    LungSRADError
        Naming the settings that differ, and what to do; where the saved settings call what neither the recipe nor the
        experiment asked for does.
    """
    asked = experiment_settings(base, changes)
    run = RunFolder(asked["output_folder"])
    if not run.settings_file.is_file() or not has_checkpoints(asked["save_folder"]):
        return
    found = run.settings(asked=experiment_calls(base, changes))
    if found.get("training_version", 1) != asked.get("training_version", 1):
        raise LungSRADError(
            f"{run}: holds a run begun by version 0.1, which drew the order of the cycles and selected epochs "
            f"otherwise. Resume it by its own settings, {run.settings_file}, or choose another output_folder to train "
            "anew"
        )
    fill_defaults(found)
    free = {key: found[key] for key in FREE_SETTINGS if key in found and key in asked}
    asked = experiment_settings(base, {**changes, **free})
    fill_defaults(asked)
    difference = describe_difference(found, asked)
    if difference:
        raise LungSRADError(
            f"{run}: holds a run with other settings: {difference}. To resume it, give the settings it began with, "
            f"which {run.settings_file} holds; to train anew, choose another output_folder, or remove that"
        )


def choose_processes(command: CommandLine, base: Path, changes: dict[str, Any]) -> int:
    """Return the number of processes that a run is on record with: those that are here.

    With ``--test_only`` it is the number that trained the run: evaluating it takes any.

    Arguments
    ---------
    command : CommandLine
    base, changes
        The experiment asked for, as ``read_experiment`` returned it.

    Raises
    ------
    LungSRADError
        Where the command line gives another number: only ``torchrun`` can start processes.
    """
    here = count_processes()
    asked = command.overrides.get("processes", here)
    if asked != here:
        raise LungSRADError(
            f"--processes {asked}: there {'is 1' if here == 1 else f'are {here}'} here; leave it out, and start them "
            f"with: torchrun --nproc_per_node {asked}"
        )
    run = RunFolder(experiment_settings(base, changes)["output_folder"])
    if command.run_opts.test_only and run.settings_file.is_file():
        return run.settings(asked=experiment_calls(base, changes)).get("processes", here)
    return here
