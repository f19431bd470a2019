"""How a report looks: one self-contained page of HTML, and Markdown, both from the same dict."""

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from lung_srad_plugin.evaluation.cautions import patients_in_both
from lung_srad_plugin.evaluation.worst_cycles import CycleSound
from lung_srad_plugin.reporting.charts import line_chart, whisker
from lung_srad_plugin.reporting.pages import format_value, render

# What stands on top, and in the tables of selections.
HEADLINE = ("score_strict_class", "specificity", "sensitivity_strict_class", "score_any_abnormal")
COLUMNS = ("specificity", "sensitivity_strict_class", "score_strict_class", "score_any_abnormal")
SHORT = {
    "score_strict_class": "Score",
    "specificity": "Sp",
    "sensitivity_strict_class": "Se",
    "score_any_abnormal": "2-class Score",
}
TITLES = {
    "dataset": "Data set",
    "device": "Device",
    "location": "Site on the chest",
    "age": "Age",
    "sex": "Sex",
    "diagnosis": "Diagnosis",
    "duration": "Duration of the cycle",
    "mode": "Acquisition mode",
    "filter": "Filter of the stethoscope",
    "original_label": "Label in the data set",
    "fold": "Fold of the cross-validation",
}


def render_html(report: dict[str, Any], sounds: Mapping[str, CycleSound] | None = None) -> str:
    """Return a report as one HTML page that needs nothing but itself: no script, no font, no request.

    Arguments
    ---------
    report : dict
        As of ``build_report``.
    sounds : mapping, optional
        Of its worst cycles, by ID; they are put into the page.

    Returns
    -------
    str
    """
    from markupsafe import Markup

    charts = {name: Markup(svg) for name, svg in _charts(report).items()}
    return render(
        "report.html.jinja",
        {
            **_context(report),
            "charts": charts,
            **sound_context(sounds),
            "whisker": lambda interval, low=0, high=100, reference=None: Markup(
                whisker(interval, low, high, reference)
            ),
        },
    )


def render_markdown(report: dict[str, Any]) -> str:
    """Return a report as Markdown; arguments as of ``render_html``. The curves are in the page and in the JSON only."""
    return render("report.md.jinja", _context(report))


def sound_context(sounds: Mapping[str, CycleSound] | None) -> dict[str, Any]:
    """Return what the templates need to put sounds and pictures into a page."""
    return {"sounds": sounds or {}, "embed": lambda content: b64encode(content).decode("ascii")}


def headline_of(report: dict[str, Any]) -> list[str]:
    """Return the metrics that stand on top of a report: with two labels, the any-abnormal ones are not among them."""
    return [name for name in HEADLINE if name in report["definitions"]]


def shared_context(report: dict[str, Any], computed: Iterable[str]) -> dict[str, Any]:
    """Return what the templates of one run and of several seeds both name.

    Arguments
    ---------
    report : dict
        As of ``build_report`` or ``build_seeds_report``.
    computed : iterable of str
        The metrics it has.
    """
    definitions, protocol = report["definitions"], report["protocol"]
    return {
        "report": report,
        "main": report["selections"][0],
        "metrics": {name: definitions[name] for name in computed if name in definitions},
        "headline": headline_of(report),
        "labels": report["labels"] if "labels" in report else report["evaluation"]["labels"],
        "abbreviations": {column: report.get("abbreviations", {}).get(column, {}) for column in TITLES},
        "columns": [name for name in COLUMNS if name in definitions],
        "short": SHORT,
        "pairs": {pair: patients or "none" for pair, patients in patients_in_both(protocol).items()},
        "hashes": {
            **({"the split": protocol["split_sha256"]} if protocol.get("split_sha256") else {}),
            **{f"{part}.csv": sha256 for part, sha256 in (protocol.get("sha256") or {}).items()},
        },
    }


def _context(report):
    evaluation = report["evaluation"]
    return {
        **shared_context(report, evaluation["measures"]),
        "evaluation": evaluation,
        "titles": TITLES,
        "detected": [name for name in report["curves"] if f"auroc_{name}" in evaluation["measures"]],
        "percent_of": lambda part, whole: 100 * part / whole if whole else None,
    }


def _charts(report):
    charts = {}
    for kind, area, x_label, y_label, name in (
        ("roc", "auroc", "1 - specificity", "sensitivity", "ROC"),
        ("pr", "auprc", "recall (sensitivity)", "precision", "Precision-recall"),
    ):
        series, areas = [], []
        for finding, curve in report["curves"].items():
            if curve[kind]:
                value = report["evaluation"]["measures"][f"{area}_{finding}"]["value"]
                series.append({"style": f"f-{finding}", "points": curve[kind], "sizes": None})
                areas.append(f"{finding} {format_value(value, '')}")
        text = f"{name} curves; area under the curve: {'; '.join(areas) or 'undefined'}"
        charts[kind] = line_chart(series, x_label, y_label, text, diagonal=kind == "roc")
    calibration = report["calibration"]
    shown = {"before": report["evaluation"]["reliability"]} if calibration is None else calibration["reliability"]
    series = [
        {
            "style": f"c-{when}",
            "points": [(row["confidence"], row["accuracy"]) for row in bins],
            "sizes": _sizes([row["cycles"] for row in bins]),
        }
        for when, bins in shown.items()
    ]
    text = "Reliability diagram: share predicted right by confidence, in bins; on the diagonal both agree"
    charts["reliability"] = line_chart(series, "confidence", "share right", text, diagonal=True)
    return charts


def _sizes(cycles):
    """Return radii whose areas go with the numbers of cycles."""
    return [2 + 6 * math.sqrt(count / max(cycles)) for count in cycles]
