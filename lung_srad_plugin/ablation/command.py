"""``lung-srad ablate``: plan, run what is not there yet, and write the table."""

import os
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lung_srad_plugin.ablation.execute import THREAD_VARIABLES, execute, launch_subprocess, make_slots
from lung_srad_plugin.ablation.grid import read_grid
from lung_srad_plugin.ablation.report import rich_tables
from lung_srad_plugin.ablation.runs import LOG, check_folders, plan_runs
from lung_srad_plugin.ablation.table import ablation_table
from lung_srad_plugin.ablation.write import write_table

LOG_WIDTH = 160  # in a file, the table need not be squeezed
INTERRUPTED = 130  # what shells say of a program ended by Ctrl-C


def ablate(grid, output, overrides=None, devices=None, jobs=None, launch=None):
    """Run a grid of experiments and write its table.

    Runs that are finished stay as they are, runs that were stopped resume: giving the same command again goes on.

    Arguments
    ---------
    grid : str or Path
        The grid file; see ``lung_srad_plugin.ablation.grid``.
    output : str or Path
        The folder of the runs, ``<output>/<row>/<seed>``, and of ``ablation.html``, ``.md``, ``.csv``, ``.json`` and
        ``.png``.
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
    grid = read_grid(grid)
    slots = make_slots(devices, jobs)
    runs = plan_runs(grid, output, overrides)
    finished = check_folders(runs)
    asked = [run for run in runs if run not in finished]
    console.print(f"{len(runs)} runs, {len(finished)} of them finished already; output in {output}", highlight=False)
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
            text = f"[red]{where}: failed[/red], {value.ended}; its log ends:\n{escape(value.tail)}"
        console.print(text, highlight=False, soft_wrap=True)

    interrupted = False
    try:
        execute(asked, slots, launch, report)
    except KeyboardInterrupt:
        interrupted = True
    table = ablation_table(grid, runs, failures)
    write_table(table, output)
    for block in rich_tables(table):
        console.print(block, highlight=False)
    console.print(f"table in {Path(output) / 'ablation.html'}", highlight=False, soft_wrap=True)
    if interrupted:
        console.print("Interrupted. The same command goes on from the last checkpoints.")
        return INTERRUPTED
    return 1 if failures else 0


def _threads(slots):
    """Return how many threads each run may start; None where it has the machine to itself, or the user chose."""
    if len(slots) == 1 or any(name in os.environ for name in THREAD_VARIABLES):
        return None
    return max(1, (os.cpu_count() or 1) // len(slots))
