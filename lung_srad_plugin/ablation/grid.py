"""Reading a grid: which experiments make the rows of an ablation table, over which seeds.

A grid file is plain yaml::

    experiment: lung_srad.yaml     # what rows build on, relative to this file; or one that comes with the package
    changes: {number_of_epochs: 5} # to every row; may be left out
    seeds: [1, 2, 3]
    reference: full                # the row that the others are compared with
    published_source: who published the figures below, and under which protocol
    rows:
      - name: full
        published: {Sp: 79.53, Se: 49.42, Score: [64.48, 0.25], 2-class: [72.57, 0.47]}
      - name: no_smoothing
        changes: {gaussian_blocks: []}
      - name: dass
        experiment: dass.yaml

A published figure is a number, or a mean and its deviation.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.runs.experiment import parse_file
from lung_srad_plugin.runs.named_files import find_file

# The figures of the published tables, and the keys under which a run's results have them.
FIGURES = {
    "Sp": ("strict", "specificity"),
    "Se": ("strict", "sensitivity"),
    "Score": ("strict", "score"),
    "2-class": ("any_abnormal", "score"),
}
# What a grid decides for each run; neither a row nor the command line may.
OWN_KEYS = ("seed", "output_folder", "base")
_GRID_KEYS = ("experiment", "changes", "seeds", "reference", "published_source", "rows")
_ROW_KEYS = ("name", "experiment", "changes", "published")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Arguments
    ---------
    name : str
        Also the name of its folder.
    experiment : Path
        The hyperparameter file it builds on.
    changes : dict
        What it changes there, by key; the grid's changes to every row included.
    published : dict
        By the names of ``FIGURES``, the published (mean, deviation); the deviation is None where none was published.
    """

    name: str
    experiment: Path
    changes: dict
    published: dict


@dataclass(frozen=True)
class Grid:
    """What ``read_grid`` read: ``path``, ``seeds``, ``reference`` (a row's name), ``published_source`` and ``rows``."""

    path: Path
    seeds: tuple
    reference: str
    published_source: str | None
    rows: tuple


def read_grid(path):
    """Read and check a grid file.

    Arguments
    ---------
    path : str or Path
        A file, or the name of one that comes with the package, such as ``ablation``.

    Returns
    -------
    Grid

    Raises
    ------
    LungSRADError
        Where there is no such file, or it is no yaml; or listing every unknown or missing key, repeated or unusable
        name, absent experiment, and figure that is no number.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "full.yaml").write_text("lr: 0.1\\n")
    >>> text = "experiment: full.yaml\\nseeds: [1, 2]\\nreference: full\\nrows: [{name: full}, {name: slow, changes: "
    >>> _ = (folder / "grid.yaml").write_text(text + "{lr: 0.01}}]\\n")
    >>> grid = read_grid(folder / "grid.yaml")
    >>> [(row.name, row.changes) for row in grid.rows]
    [('full', {}), ('slow', {'lr': 0.01})]
    """
    path = find_file(path)
    tree = parse_file(path, "no such grid; hparams/ablation.yaml is one, and `ablation` is its name in any folder")
    problems = _unknown("", tree, _GRID_KEYS)
    problems += [f"{key} is missing" for key in ("seeds", "reference", "rows") if key not in tree]
    seeds = tree.get("seeds", [0])
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        problems.append(f"seeds: {_plain(seeds)}; expected a list of different whole numbers, such as [1, 2, 3]")
    problems += _change_problems("changes", tree.get("changes", {}))
    rows = tree.get("rows", [{}])
    if not isinstance(rows, list) or not rows:
        problems.append("rows: expected a list of at least one row, such as `- name: full`")
        rows = []
    names = []
    for number, row in enumerate(rows if "rows" in tree else [], start=1):
        if not isinstance(row, dict):
            problems.append(f"row {number}: {_plain(row)!r}; expected `name: ...` and what it changes")
            continue
        where = f"row {number}" if "name" not in row else f"row {row['name']}"
        problems += _row_problems(where, row, path, tree)
        names.append(row.get("name"))
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    problems += [f"row {name}: more than one row has this name" for name in repeated]
    if names and "reference" in tree and tree["reference"] not in names:
        problems.append(f"reference: no row is called {tree['reference']}; the rows are {', '.join(map(str, names))}")
    if problems:
        raise LungSRADError(f"{path}: " + "\n  ".join([f"{len(problems)} problems", *problems]))
    return Grid(
        path=path,
        seeds=tuple(seeds),
        reference=tree["reference"],
        published_source=tree.get("published_source"),
        rows=tuple(
            Row(
                name=row["name"],
                experiment=find_file(row.get("experiment", tree.get("experiment")), path.parent),
                changes={**tree.get("changes", {}), **row.get("changes", {})},
                published={name: _mean_and_deviation(figure) for name, figure in row.get("published", {}).items()},
            )
            for row in rows
        ),
    )


def _row_problems(where, row, path, tree):
    problems = _unknown(f"{where}: ", row, _ROW_KEYS)
    name = row.get("name")
    if name is None:
        problems.append(f"{where}: name is missing")
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        problems.append(f"{where}: the name is also that of a folder, so letters, digits and _ . + - only")
    experiment = row.get("experiment", tree.get("experiment"))
    if experiment is None:
        problems.append(f"{where}: no experiment, neither in the row nor in the grid")
    elif not find_file(str(experiment), path.parent).is_file():
        problems.append(f"{where}: no such experiment: {path.parent / str(experiment)}")
    problems += _change_problems(f"{where}: changes", row.get("changes", {}))
    published = row.get("published", {})
    if not isinstance(published, dict):
        return [*problems, f"{where}: published: expected figures by name: {', '.join(FIGURES)}"]
    problems += _unknown(f"{where}: published: ", published, FIGURES)
    for figure, value in published.items():
        try:
            _mean_and_deviation(value)
        except (TypeError, ValueError):
            problems.append(f"{where}: published {figure}: {_plain(value)}; expected a number, or [mean, deviation]")
    if published and not tree.get("published_source"):
        problems.append(f"{where}: published figures without a published_source, which names their source and protocol")
    return problems


def _change_problems(where, changes):
    if not isinstance(changes, dict):
        return [f"{where}: expected keys of the experiment and their values"]
    return [f"{where}: {key} is given to each run by the grid" for key in OWN_KEYS if key in changes]


def _unknown(where, tree, known):
    return [f"{where}unknown key {key}; expected {', '.join(known)}" for key in tree if key not in known]


def _mean_and_deviation(figure):
    mean, deviation = figure if isinstance(figure, list) else (figure, None)
    return float(mean), None if deviation is None else float(deviation)


def _plain(value):
    return list(value) if isinstance(value, list) else value
