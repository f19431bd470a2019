"""Whether the run that a folder holds may be gone on with: only by the settings it began with."""

from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.experiment import NEUTRAL_SETTINGS, describe_difference, experiment_settings
from lung_srad_plugin.runs.saved_settings import experiment_calls, saved_settings

# What may change between two starts of one run, since it changes neither its weights nor which epochs are picked.
FREE_SETTINGS = (*NEUTRAL_SETTINGS, "skip_prep", "eval_precision", "report_train")


def check_resumable(base, changes):
    """Refuse to go on with a run under other settings than its own: its results would not be what they say they are.

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
    saved = Path(asked["output_folder"]) / "hyperparams.yaml"
    if not saved.is_file() or not any(Path(asked["save_folder"]).glob("CKPT*")):
        return
    found = saved_settings(saved, asked=experiment_calls(base, changes))
    free = {key: found[key] for key in FREE_SETTINGS if key in found and key in asked}
    difference = describe_difference(found, experiment_settings(base, {**changes, **free}))
    if difference:
        raise LungSRADError(
            f"{asked['output_folder']}: holds a run with other settings: {difference}. To go on with it, give the "
            f"settings it began with, which {saved} holds; to train anew, choose another output_folder, or remove that"
        )
