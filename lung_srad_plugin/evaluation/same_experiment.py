"""Which training runs belong together: those that differ in nothing but what is varied on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.sources import Source
from lung_srad_plugin.reporting.pages import format_fact
from lung_srad_plugin.runs.experiment import NEUTRAL_SETTINGS, SHOWN_SETTINGS, differing_settings
from lung_srad_plugin.runs.selection import without_outcome

# Settings that change no result, or whose effect a checksum tells: where a file lies changes no result.
FREE_SETTINGS = frozenset(
    (
        *NEUTRAL_SETTINGS,
        *("pretrained", "pretrained_sha256", "train_loader_kwargs", "valid_loader_kwargs", "test_loader_kwargs"),
        *("report_test_selected", "report_train"),
    )
)


@dataclass(frozen=True)
class ExperimentRun:
    """A run among those of one experiment.

    Arguments
    ---------
    folder : Path
        Its output folder.
    source : Source
        Its predictions for the evaluated cycles.
    settings : dict
        Of its experiment, as of ``experiment_settings``.
    """

    folder: Path
    source: Source
    settings: dict[str, Any]

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.source.facts["seed"]


def check_same_experiment(runs: Sequence[ExperimentRun], varied: str, same_split: bool = True) -> None:
    """Refuse runs that differ in more than what is varied, or repeat it.

    Arguments
    ---------
    runs : sequence of ExperimentRun
    varied : str
        The setting that they differ in, such as ``seed``.
    same_split : bool
        Whether they must be of one split and the same manifests.

    Raises
    ------
    LungSRADError
        Listing every run that repeats a value, or differs from the first one in experiment, labels, split, manifests,
        rules that selected its epochs, pretrained weights, precision, or settings.
    """
    first, *others = runs
    problems: list[str] = []
    seen: dict[Any, ExperimentRun] = {}
    for run in runs:
        value = run.settings[varied]
        if seen.setdefault(value, run) is not run:
            problems.append(f"{run.folder}: {varied} {value}, which {seen[value].folder} has too")
    expected = _identity(first, same_split)
    for run in others:
        found = _identity(run, same_split)
        for what in {**expected, **found}:
            if found.get(what) != expected.get(what):
                problems.append(f"{run.folder}: {what} {found.get(what)}; in {first.folder} {expected.get(what)}")
        problems += _differing(run, first, varied)
    if problems:
        raise LungSRADError(
            "\n  ".join([f"these are not runs of one experiment that differ in their {varied} alone:", *problems])
        )


def _identity(run, same_split):
    """Return what must be the same in all runs, in the words of a message."""
    protocol, pretrained = run.source.protocol, run.source.facts.get("pretrained") or {}
    hashes = protocol.get("sha256", {})
    split = {
        "split": protocol.get("split"),
        "hash of the split": protocol.get("split_sha256"),
        **{f"hash of {part}.csv": sha256 for part, sha256 in hashes.items()},
    }
    return {
        "experiment": run.source.facts["experiment"],
        "labels": ", ".join(run.source.selections[0].table.labels),
        **(split if same_split else {}),
        "epochs selected by": "; ".join(
            f"{rule}: {without_outcome(text)}" for rule, text in protocol.get("selection", {}).items()
        ),
        "hash of the pretrained weights": pretrained.get("sha256"),
        "precision": format_fact(run.source.facts.get("precision", {})),
    }


def _differing(run, first, varied):
    ours, theirs = (
        {key: value for key, value in one.settings.items() if key not in FREE_SETTINGS and key != varied}
        for one in (run, first)
    )
    keys = list(differing_settings(ours, theirs)) + [key for key in theirs if key not in ours]
    shown = [f"{key} {ours.get(key, 'absent')}, not {theirs.get(key, 'absent')}" for key in keys[:SHOWN_SETTINGS]]
    more = f", and {len(keys) - SHOWN_SETTINGS} more" if len(keys) > SHOWN_SETTINGS else ""
    return [f"{run.folder}: {'; '.join(shown)}{more} as in {first.folder}"] if keys else []
