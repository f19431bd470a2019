"""How a report looks: one self-contained page of HTML, and Markdown, both from the same dict."""

import math
from pathlib import Path

from lung_srad_plugin.evaluation.charts import line_chart, whisker
from lung_srad_plugin.plots import COLOURS

NOTHING = "-"  # what stands for an undefined number

# What stands on top, and in the tables of selections and groups.
HEADLINE = ("score_strict_class", "specificity", "sensitivity_strict_class", "score_any_abnormal")
SHORT = {
    "score_strict_class": "Score",
    "specificity": "Sp",
    "sensitivity_strict_class": "Se",
    "score_any_abnormal": "2-class Score",
    "sensitivity_any_abnormal": "2-class Se",
}
TITLES = {
    "device": "Device",
    "location": "Site on the chest",
    "age": "Age",
    "sex": "Sex",
    "diagnosis": "Diagnosis",
    "duration": "Duration of the cycle",
    "mode": "Acquisition mode",
    "filter": "Filter of the stethoscope",
    "original_label": "Label in the data set",
}


def render_html(report):
    """Return a report as one HTML page that needs nothing but itself: no script, no font, no request.

    Arguments
    ---------
    report : dict
        As of ``build_report``.

    Returns
    -------
    str
    """
    from markupsafe import Markup

    charts = {name: Markup(svg) for name, svg in _charts(report).items()}
    return _template("report.html.jinja", autoescape=True).render(
        **_context(report),
        charts=charts,
        colours=COLOURS,
        whisker=lambda interval, low=0, high=100, reference=None: Markup(whisker(interval, low, high, reference)),
    )


def render_markdown(report):
    """Return a report as Markdown; arguments as of ``render_html``. The curves are in the page and in the JSON only."""
    return _template("report.md.jinja", autoescape=False).render(**_context(report))


def format_interval(interval, unit="%"):
    """Return a value with its interval as text; a dash where it is undefined.

    Example
    -------
    >>> format_interval({"value": 64.48, "low": 58.2, "high": 70.11})
    '64.5 (58.2 to 70.1)'
    >>> format_interval({"value": 0.8, "low": None, "high": None}, unit="")
    '0.800'
    """
    value = format_value(interval["value"], unit)
    if interval["low"] is None:
        return value
    return f"{value} ({format_value(interval['low'], unit)} to {format_value(interval['high'], unit)})"


def format_value(value, unit="%"):
    """Return a number as text: percentages with one decimal, others with three; a dash where it is None.

    Example
    -------
    >>> format_value(12.345), format_value(0.5, ""), format_value(None)
    ('12.3', '0.500', '-')
    """
    if value is None:
        return NOTHING
    return f"{value:.1f}" if unit == "%" else f"{value:.3f}"


def format_difference(interval):
    """Return a difference in percentage points with its interval, each with a sign.

    Example
    -------
    >>> format_difference({"value": 1.24, "low": -0.5, "high": 3.0})
    '+1.2 (-0.5 to +3.0)'
    """
    if interval["value"] is None:
        return NOTHING
    if interval["low"] is None:
        return f"{interval['value']:+.1f}"
    return f"{interval['value']:+.1f} ({interval['low']:+.1f} to {interval['high']:+.1f})"


def _template(name, autoescape):
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(interval=format_interval, number=format_value, difference=format_difference, told=_told)
    return environment.get_template(name)


def _context(report):
    evaluation = report["evaluation"]
    definitions = report["definitions"]
    measures = {name: definitions.get(name, _recall(name)) for name in evaluation["measures"]}
    return {
        "report": report,
        "evaluation": evaluation,
        "main": report["selections"][0],
        "measures": measures,
        "headline": [name for name in HEADLINE if name in measures],
        "short": SHORT,
        "titles": TITLES,
        "percent_of": lambda part, whole: 100 * part / whole if whole else None,
        "pairs": _pairs(report),
    }


def _recall(name):
    label = name.removeprefix("recall_")
    definition = f"{label} cycles called {label} / {label} cycles"
    return {"title": f"Recall, {label}", "unit": "%", "definition": definition}


def _pairs(report):
    """Patients in two parts, in words."""
    shared = report["protocol"].get("patients_shared", {})
    return {pair.replace("_", " and "): ", ".join(patients) or "none" for pair, patients in shared.items()}


def _told(value):
    """Return a fact as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def _charts(report):
    charts = {}
    for kind, area, x_label, y_label, name in (
        ("roc", "auroc", "1 - specificity", "sensitivity", "ROC"),
        ("pr", "auprc", "recall (sensitivity)", "precision", "Precision-recall"),
    ):
        series, told = [], []
        for finding, curve in report["curves"].items():
            if curve[kind]:
                value = report["evaluation"]["measures"][f"{area}_{finding}"]["value"]
                series.append({"style": f"f-{finding}", "points": curve[kind], "sizes": None})
                told.append(f"{finding} {format_value(value, '')}")
        text = f"{name} curves; area under the curve: {'; '.join(told) or 'undefined'}"
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
    text = "Reliability diagram: share answered right by confidence, in bins; on the diagonal both agree"
    charts["reliability"] = line_chart(series, "confidence", "share right", text, diagonal=True)
    return charts


def _sizes(cycles):
    """Return radii whose areas go with the numbers of cycles."""
    return [2 + 6 * math.sqrt(count / max(cycles)) for count in cycles]
