"""``lung-srad ablate``: plan, run what is not there yet, and write the table."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from lung_srad_plugin.ablation.execute import THREAD_VARIABLES, execute, launch_subprocess, make_slots
from lung_srad_plugin.ablation.grid import read_grid
from lung_srad_plugin.ablation.report import rich_tables
from lung_srad_plugin.ablation.runs import LOG, check_folders, common_test_sets, plan_runs
from lung_srad_plugin.ablation.table import ablation_table
from lung_srad_plugin.ablation.write import table_files, write_table
from lung_srad_plugin.utils.files import refuse_foreign_files
from lung_srad_plugin.utils.text import printable_lines

LOG_WIDTH = 160  # in a file, the table need not be squeezed
INTERRUPTED = 130  # what shells report of a program that was interrupted


def ablate(
    grid: str | Path,
    output: str | Path,
    overrides: Mapping[str, Any] | None = None,
    devices: Sequence[str] | None = None,
    jobs: int | None = None,
    launch: Callable | None = None,
) -> int:
    """Run a grid of experiments and write its table.

    Runs that are finished stay as they are, runs that were stopped resume when the same command is given again.

    Arguments
    ---------
    grid : str or Path
        The grid file; see ``lung_srad_plugin.ablation.grid``.
    output : str or Path
        The folder of the runs, ``<output>/<row>/<seed>``, and of ``ablation.html``, ``.md``, ``.csv``, ``.json`` and
        ``.png``; of ``ablation_<name>.html`` and so on for each test set that has a name.
    overrides : dict, optional
        Keys of the experiments to replace in every run, and their values.
    devices : list of str, optional
        Such as ``["cuda:0", "cuda:1"]``: runs are spread over them.
    jobs : int, optional
        How many runs at a time; by default one, or one for each device. On a CPU they share its cores.
    launch : callable, optional
        How a run is started, as of ``execute``; by default in its own process.

    Returns
    -------
    int
        0 where every run is finished, 1 where some failed, 130 where it was interrupted.

    Raises
    ------
    LungSRADError
        Where the grid, an override or the settings of an earlier run do not fit; nothing is run then.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    experiments = read_grid(grid)
    slots = make_slots(devices, jobs)
    runs = plan_runs(experiments, output, overrides)
    finished = check_folders(runs)
    test_sets = common_test_sets(runs)
    refuse_foreign_files(path for name in test_sets for path in table_files(output, name).values())
    asked = [run for run in runs if run not in finished]

    def show(text):
        """Print names and logs as they are: they hold no markup."""
        console.print(printable_lines(text), highlight=False, markup=False, emoji=False, soft_wrap=True)

    show(f"{len(runs)} runs, {len(finished)} of them finished already; output in {output}")
    launch = launch or partial(launch_subprocess, threads=_threads(slots))
    done, failures = len(finished), []

    def report(event, run, value):
        nonlocal done
        where = f"{run.row}, seed {run.seed}"
        if event == "started":
            text = f"{where}: started{f' on {value}' if value else ''}, log in {run.folder / LOG}"
        elif event == "finished":
            done += 1
            text = f"{where}: finished in {value:.0f} s, {done} of {len(runs)}"
        else:
            failures.append(value)
            text = f"{where}: failed, {value.ended}; its log ends:\n{value.tail}"
        show(text)

    interrupted = False
    try:
        execute(asked, slots, launch, report)
    except KeyboardInterrupt:
        interrupted = True
    for name in test_sets:
        table = ablation_table(experiments, runs, failures, test_set=name)
        write_table(table, output, name)
        for block in rich_tables(table):
            console.print(block, highlight=False)
        show(f"table in {table_files(output, name)['html']}")
    if interrupted:
        show("Interrupted. The same command resumes from the last checkpoints.")
        return INTERRUPTED
    return 1 if failures else 0


def _threads(slots):
    """Return how many threads each run may start; None where it has the machine to itself, or the user chose."""
    if len(slots) == 1 or any(name in os.environ for name in THREAD_VARIABLES):
        return None
    return max(1, (os.cpu_count() or 1) // len(slots))
