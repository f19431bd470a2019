"""The page in Chromium, without a network: its answers against those of Python, what it refuses, what it sends."""

import csv
import json
import time

import numpy as np
import pytest
import soundfile
from browser import browser, needs_driver
from static_server import serve
from toy_sounds import breath

from lung_srad_plugin import LungSoundClassifier
from lung_srad_plugin.inference.predict import predict
from lung_srad_plugin.inference.recording import cut_recording, recording_clips

pytest.importorskip("selenium", reason="needs selenium (pip install selenium)")

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = needs_driver
SECONDS = 120  # a loaded machine takes long
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def classifier():
    return LungSoundClassifier.from_hparams(source="starter", run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Recordings at the model's rate and at others, of one and two channels, one with silence and clipping in it."""
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "same rate.wav", breath(1, 8.3), 8000)
    soundfile.write(folder / "phone.flac", breath(2, 5.2, 44100), 44100)
    soundfile.write(folder / "slow.wav", breath(5, 1.9, 4000), 4000, subtype="FLOAT")
    cut = np.clip(40 * breath(3, 9.0, 16000), -1, 1)
    cut[32000:96000] = 0
    soundfile.write(folder / "flaws.wav", np.stack([cut, np.zeros_like(cut)], axis=1), 16000, subtype="PCM_24")
    balanced = breath(4, 4.4, 8000)
    soundfile.write(folder / "balanced.wav", np.stack([balanced, -0.9 * balanced], axis=1), 8000, subtype="FLOAT")
    soundfile.write(folder / "inverted.wav", np.stack([balanced, -balanced], axis=1), 8000, subtype="FLOAT")
    (folder / "notes.wav").write_text("no sound")
    soundfile.write(folder / "silence.wav", np.zeros(16000), 8000)
    return folder


def find(driver, selector):
    return driver.find_elements(By.CSS_SELECTOR, selector)


def wait(driver, condition):
    return WebDriverWait(driver, SECONDS).until(lambda _: condition())


def give(driver, *paths):
    """Give the page files, and wait until each has its answer."""
    wait(driver, lambda: find(driver, "html[data-ready]"))
    before = len(find(driver, "article"))
    driver.find_element(By.ID, "files").send_keys("\n".join(map(str, paths)))
    wait(
        driver, lambda: len(find(driver, "article button, article .error")) and len(done(driver)) == before + len(paths)
    )
    return done(driver)[before:]


def done(driver):
    return [part for part in find(driver, "article") if part.find_elements(By.CSS_SELECTOR, ".answer, .error")]


def download(driver, article, label, path):
    next(one for one in article.find_elements(By.CSS_SELECTOR, "button") if one.text == label).click()
    end = time.monotonic() + SECONDS
    while not path.is_file() and time.monotonic() < end:
        time.sleep(0.1)
    return path.read_text(encoding="utf-8")


def windows_of(classifier, path):
    """What each window gives by itself, in Python."""
    from lung_srad_plugin.audio.source import audio_source

    recording = cut_recording(classifier, audio_source(path), None, classifier.select_rule())
    batches = list(predict(classifier, recording_clips(classifier, recording), 4))
    probabilities = np.concatenate([batch.log_probs.exp().numpy() for batch in batches])
    return np.array(recording.times), probabilities, np.concatenate([batch.novelty.numpy() for batch in batches])


def check_answers(found, classifier, path):
    """Compare a downloaded JSON with ``classify_file``: every number of it."""
    expected = classifier.classify_file(path, name=path.name).to_dict()
    times, probabilities, scores = windows_of(classifier, path)
    windows = found.pop("window_probabilities")
    kept = [np.flatnonzero((abs(times - (one["start"], one["end"])) < 1e-9).all(axis=1))[0] for one in windows]
    if path.stem != "flaws":
        assert kept == list(range(len(times)))
    np.testing.assert_allclose(
        [[*one["probabilities"].values()] for one in windows], probabilities[kept], atol=TOLERANCE
    )
    np.testing.assert_allclose([one["unlike_training_score"] for one in windows], scores[kept], atol=TOLERANCE)
    compare(found, expected)


def compare(found, expected, key=""):
    if isinstance(expected, dict):
        assert list(found) == list(expected), key
        for name in expected:
            compare(found[name], expected[name], f"{key}.{name}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), key
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            compare(one, other, f"{key}[{index}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=TOLERANCE), key
    else:
        assert found == expected, key


def test_answers_are_those_of_python_and_nothing_is_sent(page, sounds, classifier, tmp_path):
    names = ["same rate.wav", "phone.flac", "slow.wav", "flaws.wav", "balanced.wav"]
    other = tmp_path / "other"
    other.mkdir()
    with serve(page) as (address, requests), serve(other) as (elsewhere, leaked), browser(tmp_path) as driver:
        driver.get(address)
        articles = give(driver, *(sounds / name for name in names))
        for name, article in zip(names, articles, strict=True):
            text = download(driver, article, "Download JSON", tmp_path / f"{name.partition('.')[0]}.lung-srad.json")
            check_answers(json.loads(text), classifier, sounds / name)
        text = download(driver, articles[0], "Download CSV", tmp_path / "same rate.lung-srad.csv")
        rows = list(csv.reader(text.splitlines()))
        expected = list(csv.reader(classifier.classify_file(sounds / names[0], name=names[0]).to_csv().splitlines()))
        assert rows[0] == expected[0] and len(rows) == len(expected)
        assert [row[3] for row in rows] == [row[3] for row in expected]
        assert len(find(driver, "#overview tbody tr")) == len(names)

        # The page's policy stops what would leave, from the page and from a worker like the model's.
        fetched = driver.execute_async_script(
            """const [address, done] = arguments;
            const code = `fetch(${JSON.stringify(address)}, {method: "POST", body: "x", mode: "no-cors"})
                .then(() => postMessage("sent"), () => postMessage("stopped"))`;
            const worker = new Worker(URL.createObjectURL(new Blob([code])));
            worker.onmessage = ({data}) => fetch(address, {mode: "no-cors"})
                .then(() => done([data, "sent"]), () => done([data, "stopped"]));""",
            elsewhere,
        )
        assert fetched == ["stopped", "stopped"]
        messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        sent = [one["params"]["request"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        addresses = {one["url"] for one in sent} - {elsewhere}
        assert addresses and all(one.startswith((address, "blob:", "data:", f"blob:{address}")) for one in addresses)
        assert not leaked
        assert {path.lstrip("/") for _, path, _ in requests} <= {file.name for file in page.iterdir()} | {""}
        assert all(command == "GET" and length is None for command, _, length in requests)


def test_a_bad_file_is_refused_by_name_on_a_phone_in_the_dark(page, sounds, tmp_path):
    with serve(page) as (address, _), browser(tmp_path, width=390, height=844, dark=True) as driver:
        driver.get(address)
        names = ("notes.wav", "silence.wav", "inverted.wav", "slow.wav")
        bad, silent, inverted, good = give(driver, *(sounds / name for name in names))
        assert "notes.wav" in bad.text and "cannot read" in bad.text
        assert "silence" in silent.text and "the channels cancel each other" in inverted.text
        assert good.find_elements(By.CSS_SELECTOR, "canvas") and not find(driver, "#overview:not([hidden])")
        wide = driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0
        colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(13, 17, 23)"
        for part in find(driver, "button, input, canvas, audio"):
            name = part.get_attribute("aria-label") or part.text or part.get_attribute("id") or part.tag_name
            assert name


def test_a_file_that_is_dropped_beside_the_box_is_taken_too(page, tmp_path):
    drop = """const files = new DataTransfer();
    files.items.add(new File(["no sound"], "dropped.wav"));
    const given = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files });
    return document.querySelector("h1").dispatchEvent(given);"""
    with serve(page) as (address, _), browser(tmp_path) as driver:
        driver.get(address)
        wait(driver, lambda: find(driver, "html[data-ready]"))
        assert not driver.execute_script(drop)  # else the browser opens the file instead of the page
        wait(driver, lambda: "dropped.wav" in "".join(one.text for one in done(driver)))


def test_findings_jump_to_their_sound(page, sounds, classifier, tmp_path):
    path = sounds / "same rate.wav"
    events = classifier.classify_file(path).events
    with serve(page) as (address, _), browser(tmp_path) as driver:
        driver.get(address)
        (article,) = give(driver, path)
        buttons = article.find_elements(By.CSS_SELECTOR, ".buttons li button")
        assert len(buttons) == len(events)
        audio = article.find_element(By.TAG_NAME, "audio")
        wait(driver, lambda: audio.get_property("readyState") > 0)
        for button, event in list(zip(buttons, events, strict=True))[-1:]:
            button.click()
            wait(driver, lambda start=event.start: audio.get_property("currentTime") >= start - 0.05)
        canvas = article.find_element(By.TAG_NAME, "canvas")
        canvas.click()  # in its middle
        assert abs(audio.get_property("currentTime") - audio.get_property("duration") / 2) < 1.5
