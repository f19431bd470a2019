"""The table of an ablation as Markdown and CSV, and for the terminal."""

import csv
import io

from rich import box
from rich.markup import escape
from rich.table import Table

from lung_srad_plugin.ablation.grid import FIGURES
from lung_srad_plugin.utils.text import markdown_text, printable


def header_and_cells(table, rule):
    """Return the column names and the rows, as texts, of the table of one rule."""
    header = ["row", "seeds", *FIGURES, f"Score above {table['reference']}"]
    published = any(row["published"] for row in table["rows"])
    if published:
        header.append("published " + " / ".join(FIGURES))
    lines = []
    for row in table["rows"]:
        finished = sum(run["finished"] for run in row["runs"].values())
        measured = row["measured"].get(rule, {})
        line = [row["name"], f"{finished} of {len(row['runs'])}"]
        line += [_mean_and_sd(measured.get(name)) for name in FIGURES]
        line.append("reference" if row["name"] == table["reference"] else _with_interval(row["difference"].get(rule)))
        if published:
            figures = [_mean_and_sd(row["published"].get(name)) for name in FIGURES]
            line.append(" / ".join(figures) if row["published"] else "-")
        lines.append(line)
    return header, lines


def rich_tables(table):
    """Return what to print on a terminal: a table for each rule, then the notes."""
    shown = []
    for rule, text in table["selection"].items():
        header, lines = header_and_cells(table, rule)
        block = Table(title=f"{rule}: {escape(text)}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for number, name in enumerate(header):
            block.add_column(escape(name), justify="left" if number == 0 else "right", no_wrap=number == 0)
        for line in lines:
            block.add_row(*map(escape, line))
        shown.append(block)
    return [*shown, escape("\n".join(table["notes"]))]


def markdown(table):
    """Return the whole report as Markdown."""
    lines = ["# Ablation", "", f"Grid: {markdown_text(table['grid'])}. All figures are percent of the test cycles.", ""]
    for rule, text in table["selection"].items():
        header, cells = header_and_cells(table, rule)
        lines += [f"## {rule}: {markdown_text(text)}", "", _line(header), "|---|" + "---:|" * (len(header) - 1)]
        lines += [*map(_line, cells), ""]
    if not table["selection"]:
        lines += ["No run is finished.", ""]
    for rule in table["selection"]:
        lines += [
            f"## Each seed, {rule}",
            "",
            _line(["row", "seed", "epoch", *FIGURES]),
            "|" + "---|" * (3 + len(FIGURES)),
        ]
        lines += [*map(_line, _each_seed(table, rule)), ""]
    interval = f"{table['bootstrap']['confidence']:g} % interval of {table['bootstrap']['resamples']} resamples"
    lines += ["## How to read it", "", f"- In brackets: {interval} of patients."]
    lines += [f"- {markdown_text(note)}" for note in table["notes"]]
    lines += ["", f"## How rows differ from {table['reference']}", ""]
    for row in table["rows"]:
        changes = ", ".join(f"{key}: {value}" for key, value in row["changes"].items()) or "nothing"
        lines.append(f"- {markdown_text(row['name'])}: {markdown_text(changes)}")
    for failure in table["failures"]:
        lines += ["", f"## Failed: {failure['row']}, seed {failure['seed']}, {failure['ended']}", ""]
        lines += [f"    {printable(line)}" for line in failure["log"]]
    return "\n".join(lines) + "\n"


def _each_seed(table, rule):
    """Return the rows, as texts, of the table of every run."""
    return [
        [row["name"], seed, str(epoch), *(f"{row['measured'][rule][name]['values'][seed]:.2f}" for name in FIGURES)]
        for row in table["rows"]
        for seed, epoch in row["epochs"][rule].items()
    ]


def csv_text(table):
    """Return one line for each row and rule, as CSV; blank where there is nothing."""
    header = ["row", "selected_by", "seeds"]
    header += [f"{name}_{part}" for name in FIGURES for part in ("mean", "sd")]
    header += [f"{name}_difference_{part}" for name in FIGURES for part in ("value", "low", "high")]
    header += [f"{name}_published_{part}" for name in FIGURES for part in ("mean", "sd")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table["rows"]:
        for rule in table["selection"]:
            measured, difference = row["measured"].get(rule, {}), row["difference"].get(rule) or {}
            line = [row["name"], rule, sum(run["finished"] for run in row["runs"].values())]
            line += [measured.get(name, {}).get(part) for name in FIGURES for part in ("mean", "sd")]
            line += [difference.get(name, {}).get(part) for name in FIGURES for part in ("value", "low", "high")]
            line += [row["published"].get(name, {}).get(part) for name in FIGURES for part in ("mean", "sd")]
            writer.writerow(line)
    return text.getvalue()


def _mean_and_sd(figure):
    if figure is None:
        return "-"
    return f"{figure['mean']:.2f}" if figure["sd"] is None else f"{figure['mean']:.2f} ± {figure['sd']:.2f}"


def _with_interval(difference):
    if difference is None:
        return "-"
    score = difference["Score"]
    if score["low"] is None:
        return f"{score['value']:+.2f}"
    return f"{score['value']:+.2f} [{score['low']:+.2f}, {score['high']:+.2f}]"


def _line(cells):
    return "| " + " | ".join(map(markdown_text, cells)) + " |"
