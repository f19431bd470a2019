"""``lung-srad explain`` and ``classify --explain``: pages, tables and pictures from the command line."""

import csv
import io
import json
import re
import sys

import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
from browser import needs_browser, screenshot
from conv_encoder import ConvEncoder
from page_parser import parse
from toy import write_toy_data

from lung_srad_plugin import LogClassifier, LungSoundClassifier
from lung_srad_plugin.analysis.explain import METHODS
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.cli.options import EXPLAIN_METHODS
from lung_srad_plugin.labels import CLASSES


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def gallery(data, model_folder, tmp_path_factory):
    """The folder of a gallery of four of the eight cycles of ``valid.csv``; not to be changed."""
    output = tmp_path_factory.mktemp("gallery")
    arguments = ["explain", model_folder, data / "valid.csv", "--data-root", data, "--output", output, "--limit", 4]
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in (*arguments, "--method", "mixing", "--method", "gradients")])
    assert not ended.value.code
    return output


def rows_of(folder):
    with (folder / "explanations.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_with_all_numbers_for_each_cycle(gallery, data, classifier):
    rows = rows_of(gallery)
    assert {row["label"] for row in rows} == set(CLASSES)
    assert len(rows) == 4 and len({row["ID"] for row in rows}) == 4
    for row in rows:
        result = classifier.classify_file(data / row["recording"], cycles=[(float(row["start"]), float(row["stop"]))])
        assert row["predicted"] == row["target"] == result.summary.label
        probability = result.summary.probabilities[row["predicted"]]
        assert float(row[f"p_{row['predicted']}"]) == pytest.approx(probability, abs=1e-4)
        assert float(row["log_odds"]) == pytest.approx(np.log(probability / (1 - probability)), abs=2e-3)
        assert -1 <= float(row["rank_correlation_mixing_gradients"]) <= 1
        assert 0 <= float(row["top_overlap_mixing_gradients"]) <= 1
        for kind in ("mixing", "gradients", "random"):
            assert all(row[f"fall_{kind}_{share}"] for share in (5, 10, 20, 30, 50))
        picture = gallery / row["picture"]
        assert matplotlib.image.imread(picture).ndim == 3
        assert "<svg" in picture.with_suffix(".svg").read_text(encoding="utf-8")


def test_the_summary_is_the_mean_of_the_rows(gallery):
    summary = json.loads((gallery / "summary.json").read_text(encoding="utf-8"))
    assert (summary["cycles"], summary["of"], summary["methods"]) == (4, 8, ["mixing", "gradients"])
    for column in ("rank_correlation_mixing_gradients", "fall_mixing_20", "fall_random_50"):
        values = [float(row[column]) for row in rows_of(gallery)]
        assert summary["numbers"][column]["mean"] == pytest.approx(np.mean(values), abs=1e-5)
        assert summary["numbers"][column]["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-5)


def test_the_page_needs_nothing_but_itself_and_holds_pictures_and_sounds(gallery):
    page = (gallery / "index.html").read_text(encoding="utf-8")
    parser = parse(page)
    sources = [attributes["src"] for _, attributes in parser.elements if "src" in attributes]
    assert len(sources) == 1 + 2 * 4 and all(source.startswith("data:") for source in sources)
    assert all(attributes.get("alt") for tag, attributes in parser.elements if tag == "img")
    assert (
        "4 more are not shown" in page
        and "cells of 0.2 s by 16 of 128 mel bins; drawn in cells of 0.1 s by 8" in page
        and "occlusion" not in page.lower()
    )


def test_no_sound_is_in_the_page_where_none_is_wanted(run, data, model_folder, tmp_path):
    code, out, _ = run(
        "explain", model_folder, data / "valid.csv", "--data-root", data, "--output", tmp_path, "--limit", 1,
        "--method", "mixing", "--no-sound",
    )  # fmt: skip
    assert code == 0 and "index.html" in out
    assert "<audio" not in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "rank_correlation" not in (tmp_path / "explanations.csv").read_text(encoding="utf-8")


@needs_browser
@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_draws_the_gallery(gallery, tmp_path, width):
    picture = screenshot(gallery / "index.html", tmp_path, width, 3000)
    for colour in ("#D55E00", "#0072B2"):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(picture - rgb).max(axis=2) < 0.02).sum() > 50, colour
    assert (picture[:, -3:] == picture[-1, 0]).all()  # nothing reaches over the right edge


@needs_browser
@pytest.mark.parametrize(("choice", "matches"), [
    ("", lambda row: True),
    ("truth=wheeze", lambda row: row["label"] == "wheeze"),
    ("wrong=1", lambda row: row["label"] != row["predicted"]),
])  # fmt: skip
def test_the_filters_leave_what_was_chosen(gallery, tmp_path, choice, matches):
    """The page writes into itself how many cycles it shows, and hides the others."""
    page = dump(gallery / "index.html", tmp_path, choice)
    expected = [row["ID"] for row in rows_of(gallery) if matches(row)]
    assert f"{len(expected)} of 4 shown" in page
    shown = re.findall(r'<article class="cycle" data-truth="\w+" data-predicted="\w+">.*?</article>', page, flags=re.S)
    assert [next(row["ID"] for row in rows_of(gallery) if f"Spectrogram of {row['ID']} " in one) for one in shown] == (
        expected
    )


def dump(page, folder, choice):
    """Return the page as it is in the browser after its script has run."""
    import subprocess

    from browser import CHROMIUM

    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", f"{page.as_uri()}#{choice}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


def test_windows_of_recordings_have_no_label(run, data, model_folder, tmp_path):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.random.default_rng(0).normal(0, 0.1, 4000 * 14), 4000)
    options = ["--target", "abnormal", "--method", "mixing"]
    code, _, _ = run("explain", model_folder, long, "--output", tmp_path / "out", *options)
    rows = rows_of(tmp_path / "out")
    assert code == 0 and {row["label"] for row in rows} == {""} and {row["target"] for row in rows} == {"abnormal"}
    assert [(float(row["start"]), float(row["stop"])) for row in rows] == [(0, 8), (6, 14)]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert 'id="wrong"' not in page and 'id="truth"' not in page


def test_recordings_that_cannot_be_read_are_listed_and_the_others_explained(run, model_folder, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / "b.wav").write_text("no sound")
    soundfile.write(folder / "c.wav", np.full(8000, np.nan), 4000, "FLOAT")  # of which the header can be read
    code, _, err = run("explain", model_folder, folder, "--output", tmp_path / "none", "--method", "mixing")
    assert code == 2 and "b.wav" in err and "c.wav" in err and "no recording could be read" in err
    soundfile.write(folder / "d.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 4000)
    code, _, err = run("explain", model_folder, folder, "--output", tmp_path / "one", "--method", "mixing")
    assert code == 1 and "b.wav" in err and "c.wav" in err and "d.wav" not in err
    assert [row["recording"] for row in rows_of(tmp_path / "one")] == ["d.wav"]


# ---- classify --explain ----


def test_a_map_is_put_into_the_picture_of_a_recording(run, data, model_folder, tmp_path):
    code, _, _ = run("classify", data / "test000.wav", "-m", model_folder, "--plot", tmp_path / "plain")
    assert code == 0
    code, _, _ = run("classify", data / "test000.wav", "-m", model_folder, "--plot", tmp_path / "map", "--explain")
    assert code == 0
    plain, explained = (
        matplotlib.image.imread(tmp_path / folder / "test000.lung-srad.png") for folder in ("plain", "map")
    )
    assert explained.shape[0] > plain.shape[0] + 150


# ---- mistakes ----


def test_the_methods_are_those_of_the_analysis():
    assert EXPLAIN_METHODS == METHODS


@pytest.mark.parametrize(("options", "message"), [
    (["--method", "saliency"], "expected some of mixing, gradients, occlusion"),
    (["--method", "mixing", "--method", "mixing"], "each once"),
    (["--target", "rhonchi"], "target='rhonchi'"),
])  # fmt: skip
def test_what_does_not_exist_is_refused(run, data, model_folder, tmp_path, options, message):
    output = tmp_path / "out"
    code, _, err = run(
        "explain", model_folder, data / "valid.csv", "--data-root", data, "--output", output, *options
    )  # fmt: skip
    assert code == 2 and message in err and not output.exists()


def test_labels_of_another_model_are_refused(run, data, model_folder, tmp_path):
    text = (data / "valid.csv").read_text(encoding="utf-8").replace(",wheeze", ",rhonchi")
    (tmp_path / "other.csv").write_text(text, encoding="utf-8")
    code, _, err = run(
        "explain", model_folder, tmp_path / "other.csv", "--data-root", data, "--output", tmp_path / "out"
    )
    assert code == 2 and "rhonchi" in err


def test_a_manifest_and_recordings_together_are_refused(run, data, model_folder, tmp_path):
    code, _, err = run("explain", model_folder, data / "valid.csv", data / "test000.wav", "--output", tmp_path)
    assert code == 2 and "one manifest, or recordings" in err


def test_a_foreign_page_is_not_overwritten(run, data, model_folder, tmp_path):
    (tmp_path / "index.html").write_text("somebody's page", encoding="utf-8")
    code, _, err = run("explain", model_folder, data / "valid.csv", "--data-root", data, "--output", tmp_path)
    assert code == 2 and "index.html" in err


def test_without_captum_the_cure_is_named(run, data, model_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    code, _, err = run("explain", model_folder, data / "valid.csv", "--data-root", data, "--output", tmp_path / "out")
    assert code == 2 and "lung-srad[explain]" in err
    code, _, err = run(
        "classify", data / "test000.wav", "-m", model_folder, "--plot", tmp_path, "--explain",
        "--explain-method", "occlusion",
    )  # fmt: skip
    assert code == 2 and "lung-srad[explain]" in err


def test_a_map_without_a_picture_is_refused(run, data, model_folder):
    code, out, err = run("classify", data / "test000.wav", "-m", model_folder, "--explain")
    assert code == 2 and out == "" and "--plot" in err


@pytest.fixture
def conv_model(classifier, monkeypatch):
    """Every model that is loaded has the convolutional encoder of the tests."""
    encoder, head = ConvEncoder().eval(), LogClassifier(8, len(CLASSES)).eval()
    modules = {**classifier.mods, "embedding_model": encoder, "classifier": head}
    hparams = {"label_encoder": classifier.hparams.label_encoder, "sample_rate": classifier.sample_rate}
    other = LungSoundClassifier(torch.nn.ModuleDict(modules), hparams, {"device": "cpu"})
    monkeypatch.setattr(LungSoundClassifier, "from_hparams", lambda **options: other)


def test_an_encoder_without_scans_has_the_maps_of_captum(run, data, conv_model, tmp_path):
    arguments = ["explain", "any", data / "valid.csv", "--data-root", data, "--output", tmp_path, "--limit", "1"]
    code, _, err = run(*arguments)
    assert code == 2 and "ConvEncoder has no SS2D layer" in err and not (tmp_path / "index.html").exists()
    assert run(*arguments, "--method", "gradients", "--method", "occlusion")[0] == 0
    assert float(rows_of(tmp_path)[0]["gradients_error"]) == pytest.approx(0, abs=0.05)
    code, _, err = run("classify", data / "test000.wav", "-m", "any", "--plot", tmp_path, "--explain")
    assert code == 2 and "ConvEncoder has no SS2D layer" in err
    code, _, _ = run(
        "classify", data / "test000.wav", "-m", "any", "--plot", tmp_path, "--explain", "--explain-method", "gradients"
    )  # fmt: skip
    assert code == 0


def test_sounds_are_those_that_the_model_hears(gallery, classifier):
    from base64 import b64decode

    page = (gallery / "index.html").read_text(encoding="utf-8")
    for content in re.findall(r"data:audio/flac;base64,([\w+/=]+)", page):
        samples, rate = soundfile.read(io.BytesIO(b64decode(content)))
        assert rate == classifier.sample_rate and len(samples) == classifier.window * rate
        assert np.abs(samples).max() == pytest.approx(0.9, abs=0.01)
