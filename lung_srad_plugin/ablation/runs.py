"""The runs of a grid: one folder for each row and seed, and whether an existing folder holds the requested run."""

import json
from dataclasses import dataclass
from io import StringIO
from itertools import combinations
from pathlib import Path

from ruamel.yaml import YAML

from lung_srad_plugin.ablation.grid import OWN_KEYS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.experiment import (
    ABSENT,
    describe_difference,
    experiment_settings,
    is_placeholder,
    parse_file,
    read_experiment,
)
from lung_srad_plugin.runs.named_tests import named_manifests
from lung_srad_plugin.runs.record import RunResults
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.runs.settings import check_settings
from lung_srad_plugin.utils.files import write_together

# What a grid adds to a run's folder. A run whose process ended well is marked: a kill may also come between the
# results and the export.
SETTINGS, MARK, LOG = "settings.json", "finished", "output.log"


@dataclass(frozen=True)
class Run:
    """One run of the recipe.

    Arguments
    ---------
    row, seed
        What it is in the grid.
    folder : Path
        Its output folder, ``<output>/<row>/<seed>``.
    settings : dict
        The values of its experiment's keys (``experiment_settings``), with the seed and the output folder left open:
        its own folder states them.
    text : str
        The hyperparameter file of just this run.
    """

    row: str
    seed: int
    folder: Path
    settings: dict
    text: str

    @property
    def experiment(self):
        """Path of the hyperparameter file: ``lung-srad train`` with it repeats or resumes the run by hand."""
        return self.folder / f"{self.row}.yaml"

    @property
    def output(self) -> RunFolder:
        """What the recipe leaves in the folder."""
        return RunFolder(self.folder)

    def results(self) -> RunResults | None:
        """Return its results; None where they are missing or cannot be read."""
        try:
            return self.output.results()
        except LungSRADError:
            return None

    def is_finished(self):
        """Whether a grid saw it end well, and its results are there."""
        return (self.folder / MARK).exists() and self.results() is not None


def plan_runs(grid, output, overrides=None):
    """Lay out the runs of a grid, seed after seed, so that every row has its first seed before any has its second.

    Arguments
    ---------
    grid : Grid
    output : str or Path
        The folder of all runs.
    overrides : dict, optional
        Keys of the experiments to replace in every run, and their values.

    Returns
    -------
    list of Run

    Raises
    ------
    LungSRADError
        Where a key is unknown, belongs to the grid or is what the rows differ in, a value is missing that only the
        user can give, or two rows are the same experiment.

    Example
    -------
    >>> from lung_srad_plugin.ablation.grid import read_grid
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "full.yaml").write_text("seed: 1\\noutput_folder: x\\nlr: 0.1\\n")
    >>> text = "experiment: full.yaml\\nseeds: [1, 2]\\nreference: full\\nrows: [{name: full}, {name: slow, changes: "
    >>> _ = (folder / "grid.yaml").write_text(text + "{lr: 0.01}}]\\n")
    >>> [(run.row, run.seed, run.settings["lr"]) for run in plan_runs(read_grid(folder / "grid.yaml"), folder)]
    [('full', 1, 0.1), ('slow', 1, 0.01), ('full', 2, 0.1), ('slow', 2, 0.01)]
    """
    overrides = dict(overrides or {})
    changes, settings = {}, {}
    for row in grid.rows:
        origin = f"{grid.path}, row {row.name}"
        changes[row.name] = read_experiment(row.experiment, row.changes, origin)
    _check_overrides(grid, overrides, changes)
    given = {name: _overrides_of(base, changed, overrides, changes) for name, (base, changed) in changes.items()}
    for name, (base, changed) in changes.items():
        settings[name] = experiment_settings(
            base, {**changed, **given[name], "seed": "SEED", "output_folder": "OUTPUT"}
        )
        check_settings({**settings[name], "seed": grid.seeds[0]}, f"{grid.path}, row {name}", complete=False)
    _check_distinct(grid, settings)
    runs = []
    for seed in grid.seeds:
        for row in grid.rows:
            folder = Path(output) / row.name / str(seed)
            # Absolute, so that the file can be read from wherever it lies.
            base = {"base": str(row.experiment.resolve())}
            text = _yaml({**base, **row.changes, **given[row.name], "seed": seed, "output_folder": str(folder)})
            runs.append(Run(row.name, seed, folder, settings[row.name], text))
    return runs


def common_test_sets(runs):
    """Return the names of the test sets that all runs have; refuse rows that differ in them.

    Arguments
    ---------
    runs : list of Run
    """
    by_row = {run.row: tuple(named_manifests(run.settings.get("test_csv", ""))) for run in runs}
    if len(set(by_row.values())) > 1:
        rows = "; ".join(f"{row}: {', '.join(names)}" for row, names in by_row.items())
        raise LungSRADError(f"the rows have different test sets, so they do not compare: {rows}")
    return list(next(iter(by_row.values())))


def check_folders(runs):
    """Return the runs that are finished already, after making sure that no folder holds another experiment.

    Arguments
    ---------
    runs : list of Run

    Returns
    -------
    list of Run

    Raises
    ------
    LungSRADError
        Listing every folder whose run was started with other settings, with what differs and the cure.
    """
    problems = []
    for run in runs:
        started = run.output.is_started() or run.output.results_file.exists()
        if not started:
            continue
        found = _read_json(run.folder / SETTINGS)
        if found is None:
            problems.append(f"{run.folder}: a run, but not one that a grid started")
        elif found != run.settings:
            problems.append(f"{run.folder}: {describe_difference(found, run.settings)}")
    if problems:
        raise LungSRADError(
            "\n  ".join(
                [
                    f"{len(problems)} runs have other settings than those asked for; ask for the same again, choose "
                    "another --output, or remove these folders to train anew:",
                    *problems,
                ]
            )
        )
    return [run for run in runs if run.is_finished()]


def prepare_folder(run):
    """Make the folder of a run and write down what is asked of it."""
    (run.folder / MARK).unlink(missing_ok=True)
    settings = json.dumps(run.settings, indent=2, ensure_ascii=False) + "\n"
    write_together({run.folder / SETTINGS: settings, run.experiment: run.text})


def mark_finished(run):
    """Say that the process of a run ended well."""
    write_together({run.folder / MARK: "the process of this run ended well\n"})


def _check_overrides(grid, overrides, changes):
    for experiment in {row.experiment for row in grid.rows if overrides}:
        read_experiment(experiment, {key: value for key, value in overrides.items() if key not in OWN_KEYS})
    for key, value in overrides.items():
        if key in OWN_KEYS:
            raise LungSRADError(f"--{key}: the grid gives it to each run: seeds in {grid.path}, folders by --output")
        given = [changed.get(key, KeyError) for _, changed in changes.values()]
        if any(one != given[0] for one in given) and not _left_open(key, changes):
            rows = ", ".join(name for name, (_, changed) in changes.items() if key in changed)
            raise LungSRADError(
                f"--{key} {value}: the rows differ in it ({rows} set it), so the same value for all would make another "
                f"table; leave it out, or change a copy of {grid.path}"
            )


def _overrides_of(base, changed, overrides, changes):
    """Return the overrides that a row takes: a value that other rows leave to the user is its own where it has one."""
    return {key: value for key, value in overrides.items() if key not in changed or not _left_open(key, changes)}


def _left_open(key, changes):
    """Whether some row leaves this key to the user, as ``!PLACEHOLDER`` marks it."""
    return any(
        key not in changed and is_placeholder(parse_file(base, ABSENT).get(key)) for base, changed in changes.values()
    )


def _check_distinct(grid, settings):
    for (name, one), (other, two) in combinations(settings.items(), 2):
        if one == two:
            raise LungSRADError(f"{grid.path}: rows {name} and {other} are the same experiment; change or drop one")


def _yaml(tree):
    text = StringIO()
    YAML().dump(dict(tree), text)
    return text.getvalue()


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
