"""The report as people see it: complete, self-contained, safe against odd names, and drawn by a real browser."""

import re
from itertools import pairwise

import numpy as np
import pytest
from browser import needs_browser, screenshot
from markdown_it import MarkdownIt
from page_parser import parse
from prediction_tables import draw_table
from sklearn import metrics as sklearn_metrics

from lung_srad_plugin.evaluation.page import render_html, render_markdown
from lung_srad_plugin.evaluation.report import build_report
from lung_srad_plugin.evaluation.sources import Selection, Source, fit_apart
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.calibration import scale_table
from lung_srad_plugin.metrics.curves import pr_curve, roc_curve
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.reporting.charts import line_chart, whisker
from lung_srad_plugin.utils.text import printable

WIDTH, HEIGHT = 1200, 6000


def make_source(**changes):
    table, valid = draw_table(1), draw_table(2, prefix="v")
    settings = {
        "name": "lung_srad",
        "data": "test cycles of <ICBHI>",
        "selections": [
            Selection("valid", "best on the validation cycles", 31, False, table, fit_apart(valid, table, "valid.csv")),
            Selection("last", "last epoch", 50, False, draw_table(1, skill=1.2)),
            Selection("test", "best on the test cycles", 44, True, draw_table(1, skill=2.5)),
        ],
        "protocol": {
            "split": "official split; valid: patients drawn from train",
            "split_sha256": "5e8a" * 16,
            "sha256": {"train": "ab" * 32, "valid": "cd" * 32, "test": "ef" * 32},
            "valid_is_test": False,
            "patients_shared": {"train_valid": [], "train_test": ["156", "218"], "valid_test": []},
            "notes": ["a note of the preparation"],
        },
        "facts": {"seed": 1, "parameters": 48_000_000, "versions": {"torch": "2.11"}},
        **changes,
    }
    return Source(**settings)


@pytest.fixture(scope="module")
def report():
    return build_report(make_source(), Bootstrap(200))


@pytest.fixture(scope="module")
def page(report):
    return render_html(report)


def test_page_asks_for_nothing_and_runs_nothing(page):
    parser = parse(page)
    assert all(link.startswith("#") for link in parser.links)
    assert "//" not in re.sub(r"<!--.*?-->", "", page)  # no address of any scheme
    assert not re.search(r"url\(|@import|expression\(", page)
    tags = {tag for tag, _ in parser.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "img", "form"}
    assert not any(name.startswith("on") for _, attributes in parser.elements for name in attributes)


def test_page_is_accessible(page):
    parser = parse(page)
    identifiers = {attributes.get("id") for _, attributes in parser.elements}
    assert {link[1:] for link in parser.links} <= identifiers
    assert next(attributes["lang"] for tag, attributes in parser.elements if tag == "html") == "en"
    charts = [attributes for tag, attributes in parser.elements if tag == "svg"]
    assert all(chart.get("aria-label") or chart.get("aria-hidden") == "true" for chart in charts)
    labels = [chart["aria-label"] for chart in charts if "aria-label" in chart]
    assert [label.split()[0] for label in labels] == ["ROC", "Precision-recall", "Reliability"]
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in parser.elements if tag == "th")


def test_names_from_the_data_are_text(page):
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "test cycles of &lt;ICBHI&gt;" in page


def test_both_forms_have_the_protocol_and_every_metric(report, page):
    for text in (page, render_markdown(report)):
        assert "156, 218" in text
        assert "5e8a" * 16 in text
        assert text.count("ptimistic") >= 1
        assert "must not be compared" in text
        assert "a note of the preparation" in text.lower()
        assert "corrected names" in text
        for name in report["evaluation"]["measures"]:
            value = report["evaluation"]["measures"][name]["value"]
            shown = f"{value:.1f}" if report["definitions"].get(name, {"unit": "%"})["unit"] == "%" else f"{value:.3f}"
            assert shown in text, name
        for definition in report["definitions"].values():
            if definition["title"].split()[0] != "Harmonic":
                assert definition["definition"] in text.replace("&#39;", "'"), definition["title"]
        for groups in report["evaluation"]["groups"].values():
            assert groups
    assert list(report["evaluation"]["groups"]) == ["device", "location", "age", "sex", "diagnosis", "duration"]


def test_markdown_tables_are_whole(report):
    lines = render_markdown(report).splitlines()
    for above, line in pairwise(lines):
        if line.startswith("|") and above.startswith("|"):
            assert line.count("|") == above.count("|"), line
    assert not any("{{" in line or "{%" in line for line in lines)


def test_selections_side_by_side_and_paired(report):
    assert [row["rule"] for row in report["selections"]] == ["valid", "last", "test"]
    assert [row["optimistic"] for row in report["selections"]] == [False, False, True]
    main = report["evaluation"]["measures"]["score_strict_class"]["value"]
    for row, selection in zip(report["paired"].values(), report["selections"][1:], strict=True):
        difference = row["differences"]["score_strict_class"]
        assert difference["value"] == pytest.approx(selection["measures"]["score_strict_class"]["value"] - main)
        assert difference["low"] <= difference["value"] <= difference["high"]


def test_calibration_is_applied_to_the_evaluated_cycles(report):
    fit, table = make_source().selections[0].fit, draw_table(1)
    assert report["calibration"]["temperature"] == fit.calibration.temperature
    after = brier_of_torchmetrics(scale_table(table, fit.calibration.temperature))
    assert report["calibration"]["here"]["after"]["brier"] == pytest.approx(after)
    assert {point["temperature"] for point in report["operating_points"]} == {1.0, fit.calibration.temperature}


def brier_of_torchmetrics(table):
    from torch import from_numpy
    from torchmetrics.functional import mean_squared_error

    hit = np.eye(len(table.labels))[table.targets]
    return len(table.labels) * mean_squared_error(from_numpy(table.probabilities), from_numpy(hit)).item()


def test_two_labels_have_neither_four_classes_nor_a_second_score():
    labels = ("healthy", "sick")
    two = {
        "selections": [
            Selection("valid", "best on the validation cycles", 3, False, draw_table(1, labels=labels)),
            Selection("last", "last epoch", 5, False, draw_table(1, labels=labels, skill=1.0)),
        ]
    }
    report = build_report(make_source(**two), Bootstrap(20), harmonic=True)
    html, markdown = render_html(report), render_markdown(report)
    parse(html)
    for text in (re.sub(r"<style>.*?</style>", "", html, flags=re.S), markdown):
        assert not re.search(r"\d-class|strict|p\(normal\)|crackle|[Aa]ny.abnormal", text)
        assert "healthy" in text
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert "| selected by | epoch | Sp | Se | Score | how |" in rows


def test_abbreviations_of_icbhi_are_explained(report, page):
    assert report["abbreviations"]["location"] == {"Al": "anterior left", "Tc": "trachea"}
    for text in (page, render_markdown(report)):
        assert "anterior left" in text
        assert "trachea" in text


def test_hashes_come_after_the_results(page, report):
    assert page.index("5e8a" * 16) > page.index('id="provenance"')
    markdown = render_markdown(report)
    assert markdown.index("5e8a" * 16) > markdown.index("## Provenance")


def test_synthetic_sounds_are_said_aloud_and_speak_of_no_patients():
    report = build_report(make_source(trained_on_synthetic=True, synthetic=True, protocol={}), Bootstrap(20))
    assert report["synthetic"] == {"training": True, "evaluated": True}
    assert sum("SYNTHETIC" in caution for caution in report["cautions"]) == 2
    assert not {"age", "sex", "diagnosis"} & {*report["evaluation"]["groups"], *report["groups_missing"]}
    for text in (render_html(report), render_markdown(report)):
        shown = re.sub(r"<style>.*?</style>", "", text, flags=re.S)
        assert "SYNTHETIC" in shown
        assert not re.search(r"COPD|[Oo]fficial|ICBHI's|published", shown)


@pytest.mark.parametrize("name", ["a|b", "two\nlines", "<b>bold</b>", "`code`", "*star*", "[a](b)", "esc\x1b[2J"])
def test_names_are_text_in_markdown(name):
    source = make_source(name=name)
    table = source.selections[0].table
    table.metadata["device"] = (name, *table.metadata["device"][1:])
    markdown = render_markdown(build_report(source, Bootstrap(2)))
    assert "\x1b" not in markdown
    assert "<b>bold" not in markdown
    lines = markdown.splitlines()
    for above, line in pairwise(lines):
        if line.startswith("|") and above.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", above)), line
    heading = MarkdownIt().parse(markdown)[1].content
    assert "".join(child.content for child in MarkdownIt().parseInline(heading)[0].children).startswith(
        f"Evaluation of {printable(name)} on"
    )


def test_what_is_not_there_is_said(report):
    source = make_source(protocol={}, facts={})
    table = draw_table(1, labels=("healthy", "sick"))
    table = type(table)(**{**vars(table), "metadata": {"patient": table.metadata["patient"]}})
    source.selections[:] = [Selection("given", "as given", None, False, table)]
    bare = build_report(source, Bootstrap(20))
    assert bare["operating_points"] is bare["calibration"] is None
    assert list(bare["curves"]) == ["abnormal"]
    page = render_html(bare)
    parse(page)
    assert "No temperature" in page
    assert "Not known of these cycles: device, location, age, sex, diagnosis, duration." in page
    assert "No temperature" in render_markdown(bare)


def test_protocol_of_other_cycles_is_not_that_of_these():
    source = make_source(of_training=False, labels_map={"N": "normal", "x": None}, left_out={"x": 3})
    report = build_report(source, Bootstrap(20))
    assert not any("156" in caution or "note of the preparation" in caution for caution in report["cautions"])
    for text in (render_html(report), render_markdown(report)):
        assert "trained on other cycles than these" in text
        assert "patients; official split" not in text
        assert "Mapping of labels" in text


def test_one_answer_for_everything_is_pointed_out():
    table = draw_table(1)
    same = np.tile([0.7, 0.1, 0.1, 0.1], (len(table), 1))
    constant = make_table(table.ids, [table.labels[i] for i in table.targets], same, metadata=table.metadata)
    source = make_source(selections=[Selection("last", "last epoch", 1, False, constant)])
    report = build_report(source, Bootstrap(20))
    assert report["cautions"][0].startswith("The model called every cycle normal.")
    assert report["evaluation"]["measures"]["score_strict_class"]["value"] == 50
    parse(render_html(report))


def test_undefined_numbers_are_dashes():
    source = make_source()
    table = source.selections[0].table
    source.selections[:] = [Selection("given", "as given", None, False, table.rows(table.targets == 1))]
    report = build_report(source, Bootstrap(20))
    assert report["evaluation"]["measures"]["specificity"]["value"] is None
    page = render_html(report)
    parse(page)
    assert "None" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    assert "No cycle is annotated normal, wheeze, both" in page


@needs_browser
@pytest.mark.parametrize("width", [WIDTH, 420])
def test_a_browser_draws_it(page, tmp_path, width):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    picture = screenshot(tmp_path / "report.html", tmp_path, width, HEIGHT)
    # Something is drawn down most of the page, in the colours of the charts and of the caution.
    drawn = (picture != picture[-1, 0]).any(axis=(1, 2))
    assert drawn[: HEIGHT // 2].mean() > 0.4
    for colour in ("#D55E00", "#0072B2", "#E69F00"):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(picture - rgb).max(axis=2) < 0.02).sum() > 50, colour
    # Text to the right edge would have been cut off.
    assert (picture[:, -3:] == picture[-1, 0]).all()


def test_curves_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    positive = rng.random(300) < 0.4
    scores = (rng.normal(size=300) + positive).round(1)  # with ties
    rate, sensitivity, _ = sklearn_metrics.roc_curve(positive, scores, drop_intermediate=False)
    for x, y in roc_curve(positive, scores)[1:]:
        assert y == pytest.approx(np.interp(x, rate, sensitivity), abs=2e-4)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(positive, scores)
    for x, y in pr_curve(positive, scores):
        reached = np.flatnonzero(recall >= x - 1e-9)[-1]  # recall falls
        assert y == pytest.approx(precision[reached], abs=1e-4)


def test_curves_without_positives_are_empty():
    none, scores = np.zeros(3, dtype=bool), np.arange(3.0)
    assert roc_curve(none, scores) == pr_curve(none, scores) == roc_curve(~none, scores) == []


def test_charts_put_values_where_they_belong():
    chart = line_chart([{"style": "s", "points": [(0, 0), (1, 1)], "sizes": [2, 8]}], "x<", "y", 'a "b"')
    assert 'points="48.0,276.0 328.0,12.0"' in chart
    assert chart.count("<circle") == 2
    assert "x&lt;" in chart
    assert 'aria-label="a &quot;b&quot;"' in chart
    drawn = whisker({"value": 50.0, "low": 0.0, "high": 100.0}, 0, 100, reference=25.0)
    assert 'cx="80.0"' in drawn
    assert 'x1="4.0" x2="156.0"' in drawn
    assert 'x1="42.0" x2="42.0"' in drawn
    assert "range" not in whisker({"value": 50.0, "low": None, "high": None}, 0, 100)
