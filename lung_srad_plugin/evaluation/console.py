"""The headline of a report, printed."""

from pathlib import Path
from typing import Any

from lung_srad_plugin.evaluation.cautions import patients_in_both
from lung_srad_plugin.evaluation.page import headline_of
from lung_srad_plugin.reporting.pages import format_interval, format_summary, format_value


def print_summary(report: dict[str, Any], output: str | Path) -> None:
    """Print the headline of a report, of one source or over seeds, and where to read on."""
    if "seeds" in report:
        _print_seeds(report)
    else:
        _print_one(report)
    for caution in report["cautions"]:
        print(f"note: {caution}")
    print(Path(output) / "report.html")


def _print_one(report):
    evaluation, main = report["evaluation"], report["selections"][0]
    print(f"{report['title']} on {report['data']}: {evaluation['cycles']} cycles of {evaluation['patients']} patients")
    optimistic = " (optimistic: selected on these cycles)" if main["optimistic"] else ""
    print(f"epoch {main['epoch']}, {main['text']}{optimistic}")
    _print_protocol(report)
    for name, definition in report["definitions"].items():
        if name in evaluation["measures"]:
            value = format_interval(evaluation["measures"][name], definition["unit"])
            print(f"  {definition['title']:<34}{value}{' ' + definition['unit'] if definition['unit'] else ''}")
    for group in evaluation["groups"].get("dataset", ()):
        print(f"data set {group['name']}: {group['cycles']} cycles of {group['patients']} patients")
        for name in (*headline_of(report), *(f"auroc_{finding}" for finding in report["curves"])):
            definition = report["definitions"][name]
            value = format_interval(group["measures"][name], definition["unit"])
            print(f"  {definition['title']:<34}{value}{' ' + definition['unit'] if definition['unit'] else ''}")


def _print_seeds(report):
    print(f"{report['title']} on {report['data']}: {report['cycles']} cycles of {report['patients']} patients")
    print(f"seeds {', '.join(map(str, report['seeds']))}: mean ± standard deviation (each seed)")
    _print_protocol(report)
    for selection in report["selections"]:
        print(f"{selection['rule']}: {selection['text']}")
        for name in headline_of(report):
            summary, definition = selection["measures"][name], report["definitions"][name]
            each = ", ".join(format_value(value, decimals=2) for value in summary["values"].values())
            print(f"  {definition['title']:<34}{format_summary(summary)} {definition['unit']}  ({each})")


def _print_protocol(report):
    """Print the split with its hash and the patients on both sides, and how labels were read."""
    protocol = report["protocol"]
    if protocol.get("split"):
        where = "" if report["of_training"] else " of the model's training"
        sha256 = f", SHA-256 {protocol['split_sha256']}" if protocol.get("split_sha256") else ""
        print(f"split{where}: {protocol['split']}{sha256}")
    for pair, patients in patients_in_both(protocol).items():
        print(f"  patients in {pair}: {patients or 'none'}")
    if report["labels_map"] is not None:
        for label, target in report["labels_map"].items():
            print(f"  label {label!r} read as {target if target is not None else 'nothing: left out'}")
