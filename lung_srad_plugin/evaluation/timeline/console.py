"""The numbers of timelines, printed."""

from pathlib import Path
from typing import Any

from lung_srad_plugin.reporting.pages import format_interval, format_value
from lung_srad_plugin.utils.text import rich_text

SHOWN = 10
WIDTH = 140  # characters where standard output is no terminal

# Metric, title, unit, and whether its interval is shown: those of all are in the files.
_COLUMNS = (
    ("auroc", "AUROC", "", True),
    ("sensitivity", "Se", "%", False),
    ("specificity", "Sp", "%", False),
    ("precision", "precision", "%", False),
    ("recall", "recall", "%", False),
    ("f1", "F1", "%", True),
    ("run_f1", "F1 of runs", "%", False),
)


def print_timelines(report: dict[str, Any], output: str | Path) -> None:
    """Print the numbers of a report of ``check_timeline``, and where to read on.

    Arguments
    ---------
    report : dict
    output : str or Path
        The folder of the files.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    if "candidates" in report:
        _print_candidates(console, report)
    interval = f"{report['bootstrap']['confidence']:g} % intervals of resampled patients"
    for timeline in report["timelines"]:
        table = Table(title=rich_text(f"{timeline['name']} ({interval})"), title_justify="left")
        for name in ("data set", "finding", "P from"):
            table.add_column(name)
        for _, title, unit, _ in _COLUMNS:
            table.add_column(f"{title}, {unit}" if unit else title, justify="right")
        for one in timeline["measured"]:
            values = [_text(one["metrics"][name], unit, whole) for name, _, unit, whole in _COLUMNS]
            table.add_row(rich_text(one["data_set"]), one["finding"], f"{one['threshold']:g}", *values)
        console.print(table)
    for one in report["timelines"][0]["measured"]:
        console.print(
            rich_text(
                f"{one['data_set']}, {one['finding']}: {one['events']} events; {one['positive_seconds']:g} of "
                f"{one['seconds']:g} annotated s, {one['recordings']} recordings of {one['patients']} patients"
            ),
            soft_wrap=True,
        )
    console.print(
        f"AUROC, Se and Sp: of frames of {report['frame']:g} s. Precision, recall and F1: of annotated events, called "
        "positive where half of them is. F1 of runs: PSDS's, of runs and events that overlap by half.",
        soft_wrap=True,
    )
    for caution in report["cautions"]:
        console.print(rich_text(f"note: {caution}"), soft_wrap=True)
    console.print(rich_text(str(Path(output) / "timeline.json")), soft_wrap=True)


def _print_candidates(console, report):
    from rich.table import Table

    best = report["candidates"][:SHOWN]
    table = Table(
        title=f"the best {len(best)} of {len(report['candidates'])} rules: means over findings and data sets",
        title_justify="left",
    )
    thresholds = [name for name in best[0] if name.startswith("threshold_")]
    names = ("window", "hop", "merging", "min_duration", *thresholds, "auroc", "f1", "agreement")
    for name in names:
        table.add_column(name.replace("threshold_", "P from, ").replace("_", " "))
    for row in best:
        table.add_row(*(value if isinstance(value := row.get(name), str) else f"{value:.3g}" for name in names))
    console.print(table)
    rule = report["chosen"]
    console.print(
        f"chosen: windows of {rule['window']:g} s every {rule['hop']:g} s, {rule['merging']}; "
        "lung-srad export --timeline takes it",
        soft_wrap=True,
    )


def _text(interval, unit, whole):
    finite = {key: None if value != value else value for key, value in interval.items()}  # NaN differs from itself
    return format_interval(finite, unit) if whole else format_value(finite["value"], unit)
