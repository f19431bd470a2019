"""The output folder of a training run: the names of its files, its settings, results and checkpoints."""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.named_tests import ONLY, part_of
from lung_srad_plugin.runs.record import RunResults, read_results
from lung_srad_plugin.runs.saved_settings import saved_settings
from lung_srad_plugin.runs.selection import RULES, EpochSelection
from lung_srad_plugin.utils.files import RECORD, adopt_files, refuse_foreign_files

if TYPE_CHECKING:
    from speechbrain.utils.checkpoints import Checkpoint, Checkpointer

SETTINGS_HEADER = "# Generated "
"""How SpeechBrain begins the settings of a run."""

REPORT_FILES = ("report.html", "report.md", "report.json")
"""Names of the evaluation's files."""

ADAPTERS = "adapters"
"""Name of the file in a checkpoint that holds the adapters of a frozen encoder, in place of the whole encoder."""

COMPLETE = "whole"
"""Name of the file that is saved last in a checkpoint; where it is, the others are complete."""


class RunFolder:
    """A run's output folder, which need not exist yet; nothing else spells the names of its files.

    Arguments
    ---------
    path : str or Path

    Example
    -------
    >>> run = RunFolder("results/lung_srad/1")
    >>> run.predictions("test", "last").name
    'predictions_test_last.csv'
    >>> run.is_finished()
    False
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.settings_file = self.path / "hyperparams.yaml"
        self.results_file = self.path / "results.json"
        self.results_text = self.path / "results.txt"
        self.history_plot = self.path / "training.png"
        self.train_log = self.path / "train_log.txt"
        self.checkpoints = self.path / "save"
        self.frozen_encoder = self.path / "frozen_encoder.ckpt"
        self.manifests = self.path / "manifests"
        self.export = self.path / "export"
        self.report = self.path / "report"
        self.lock = self.path / ".running"
        self.lock_owner = self.path / ".running.json"

    def __str__(self):
        return str(self.path)

    def predictions(self, part: str, rule: str) -> Path:
        """Return the file of the predictions of the epoch that ``rule`` selects; ``part`` as of ``part_of``."""
        return self.path / f"predictions_{part}_{rule}.csv"

    def confusion_plot(self, rule: str, test_set: str = ONLY) -> Path:
        """Return the picture of the confusion counts of the epoch that ``rule`` selects."""
        return self.path / (f"confusion_{rule}.png" if test_set == ONLY else f"confusion_{test_set}_{rule}.png")

    def report_on(self, test_set: str) -> Path:
        """Return the folder of the report on a test set."""
        return self.report if test_set == ONLY else self.report / test_set

    def is_started(self) -> bool:
        """Return whether a run has left a checkpoint here."""
        return has_checkpoints(self.checkpoints)

    def is_finished(self) -> bool:
        """Return whether a run has left its settings and results here."""
        return self.results_file.is_file() and self.settings_file.is_file()

    def refuse_foreign_files(self, test_sets: Iterable[str] = (ONLY,)) -> None:
        """Refuse a folder in which a run would overwrite files that no run wrote, or that were changed since.

        Where the settings begin as SpeechBrain begins those of a run, the folder is a run's; version 0.1 kept no record
        of the files in it.
        """
        outputs = self.outputs(test_sets)
        if self._holds_settings_of_a_run():
            adopt_files(outputs)
        else:
            outputs.append(self.settings_file)
        refuse_foreign_files(outputs)

    def outputs(self, test_sets: Iterable[str] = (ONLY,)) -> list[Path]:
        """Return the files that a run writes when it ends, and what its exported model holds now."""
        test_sets = list(test_sets)
        parts = [self.predictions(part, rule) for part in ("valid", *map(part_of, test_sets)) for rule in RULES]
        pictures = [self.history_plot, *(self.confusion_plot(rule, name) for name in test_sets for rule in RULES)]
        reports = [self.report_on(name) / file for name in test_sets for file in REPORT_FILES]
        exported = sorted(path for path in self.export.glob("*") if path.name != RECORD) if self.export.is_dir() else []
        return [self.results_file, self.results_text, *pictures, *parts, *reports, *exported]

    def _holds_settings_of_a_run(self):
        if not self.settings_file.is_file():
            return False
        return self.settings_file.read_text(encoding="utf-8", errors="replace").startswith(SETTINGS_HEADER)

    def write_settings(self, origin: str | Path, text: str) -> None:
        """Write the settings of the run as SpeechBrain does, with the experiment's file that they come from."""
        header = f"{SETTINGS_HEADER}{date.today()} from:\n# {Path(origin).resolve()}\n# yamllint disable\n"
        self.settings_file.write_text(header + text, encoding="utf-8")

    def settings(self, trust_code: bool = False, asked: Iterable[str] = ()) -> dict[str, Any]:
        """Return the settings of the run; see ``saved_settings``."""
        return saved_settings(self.settings_file, trust_code, asked)

    def results(self) -> RunResults:
        """Return the results of the run; see ``read_results``."""
        return read_results(self.results_file)

    def find_checkpoint(self, rule: str, trust_code: bool = False) -> Path:
        """Return the folder of the checkpoint that ``rule`` selects.

        Arguments
        ---------
        rule : str
            One of ``RULES``.
        trust_code : bool
            As for ``saved_settings``, from which the way to select is read.

        Raises
        ------
        LungSRADError
            Where the rule is unknown or the run has no such checkpoint.
        """
        from speechbrain.utils.checkpoints import Checkpointer

        if rule not in RULES:
            raise LungSRADError(f"select={rule!r}; expected one of {', '.join(RULES)}")
        selection = EpochSelection.of_settings(self.settings(trust_code))
        if not self.checkpoints.is_dir():
            raise LungSRADError(f"{self.checkpoints}: no such folder; expected the checkpoints of a training run")
        return find_checkpoint(Checkpointer(self.checkpoints), rule, selection).path


def has_checkpoints(folder: str | Path) -> bool:
    """Return whether a folder of checkpoints holds one, complete or not."""
    return any(Path(folder).glob("CKPT*"))


def read_checkpoint_meta(checkpoint: str | Path) -> dict[str, Any]:
    """Return the metadata of a checkpoint, such as its epoch; empty where it has none.

    Raises
    ------
    LungSRADError
        Where its file is no yaml.
    """
    path = Path(checkpoint) / "CKPT.yaml"
    try:
        # SpeechBrain writes a tag for the end of the epoch, which needs none of its code to read.
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError) as error:
        raise LungSRADError(f"{path}: not valid yaml; choose another checkpoint") from error


def is_complete(checkpoint: "Checkpoint") -> bool:
    """Return whether all files of a checkpoint were written: a run may be killed while it saves one."""
    return COMPLETE in checkpoint.paramfiles


def rank_checkpoints(rule: str, selection: EpochSelection) -> "Callable[[Checkpoint], tuple]":
    """Return the key by which SpeechBrain's ``Checkpointer`` sorts checkpoints: the selected one ranks highest."""
    return lambda checkpoint: selection.rank(checkpoint.meta, rule)


def find_checkpoint(checkpointer: "Checkpointer", rule: str, selection: EpochSelection) -> "Checkpoint":
    """Return the complete checkpoint of the epoch that ``rule`` selects.

    Arguments
    ---------
    checkpointer : speechbrain.utils.checkpoints.Checkpointer
    rule : str
        One of ``RULES``.
    selection : EpochSelection

    Raises
    ------
    LungSRADError
        Where there is none.
    """
    found = checkpointer.find_checkpoint(
        importance_key=rank_checkpoints(rule, selection),
        ckpt_predicate=lambda checkpoint: is_complete(checkpoint) and selection.applies_to(checkpoint.meta, rule),
    )
    if found is None:
        cure = "train with --report_test_selected True" if rule == "test" else "train first"
        raise LungSRADError(
            f"{checkpointer.checkpoints_dir}: no complete checkpoint of an epoch from which {rule!r} could select; "
            f"{cure}, or name the folder of a finished run"
        )
    return found
