"""The page, clicked through in a browser that reaches this machine alone, on a desk and on a phone."""

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import OTHER_NAME, browser, needs_driver
from live_service import LiveService

pytest.importorskip("gradio", reason="needs the extra serve")
pytest.importorskip("selenium", reason="needs selenium (pip install selenium)")

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.files import write_annotations
from lung_srad_plugin.serving.app import create_app

pytestmark = needs_driver
RATE = 4000
SECONDS = 90  # a loaded machine takes long for a picture


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Two recordings, the annotation of the first, and a file that is none of them."""
    folder = tmp_path_factory.mktemp("sounds")
    noise = np.random.default_rng(0)
    for name, seconds in (("one.wav", 9.0), ("two.flac", 5.0)):
        soundfile.write(folder / name, noise.normal(0, 0.1, int(seconds * RATE)), RATE)
    events = [(0, 3, "normal"), (3, 6, "fine crackles"), (6, 9, "wheeze")]
    write_annotations([AnnotatedEvent(*event) for event in events], folder / "one.TextGrid", "textgrid", 9.0)
    (folder / "broken.wav").write_text("no sound")
    (folder / "large.wav").write_bytes(bytes(600_000))
    return folder


def find(driver, selector):
    return driver.find_elements(By.CSS_SELECTOR, selector)


def wait(driver, condition):
    return WebDriverWait(driver, SECONDS).until(condition)


def drop(driver, *paths):
    box = wait(driver, lambda driver: find(driver, "#lung-files input[type=file]"))[0]
    box.send_keys("\n".join(map(str, paths)))


def shown(driver, name):
    """Wait until a recording is shown below the table."""
    wait(
        driver, lambda driver: any(name in one.text for one in find(driver, "#lung-detail h2")) and find(driver, "img")
    )
    alt = f"Waveform, mel spectrogram, probabilities and classes of {name} over time"
    return wait(driver, lambda driver: find(driver, f'.picture img[alt="{alt}"]'))[0]


def sound_state(driver, what):
    return driver.execute_script(f"return document.querySelector('#lung-sound audio').{what}")


def hosts(driver):
    """Return the hosts that the page asked anything of."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    return {url.split("/")[2].split(":")[0] for url in asked if url.startswith("http")}


def rows(driver):
    return [row.text for row in find(driver, "#lung-overview tbody tr")]


def test_files_are_dropped_heard_compared_and_downloaded(live, sounds, tmp_path):
    with browser(tmp_path) as driver:
        driver.get(live.address)
        wait(driver, lambda driver: find(driver, "#lung-files input[type=file]"))
        assert not any(one.is_displayed() for one in find(driver, "#lung-detail, #lung-all"))
        drop(driver, *(sounds / name for name in ("one.wav", "one.TextGrid", "two.flac", "broken.wav", "large.wav")))
        shown(driver, "one.wav")

        # What is too large is not sent, and told.
        (large,) = find(driver, ".too-large .problem")
        assert large.text.startswith("large.wav: 0.6 MB, more than the 0.5 MB")

        # One table; the bad file says what is wrong and the others have their answers.
        wait(driver, lambda driver: not any("waits" in row or "is being" in row for row in rows(driver)))
        assert len(rows(driver)) == 3
        (problem,) = find(driver, "#lung-overview .problem")
        assert "broken.wav" in problem.text and "expected WAV" in problem.text
        assert [len(find(driver, f"#lung-overview tr[data-row='{row}'] .chip")) for row in range(3)] == [1, 1, 0]

        # The sound has the recording's length; times and the picture make it jump.
        wait(driver, lambda driver: sound_state(driver, "duration") is not None)
        assert sound_state(driver, "duration") == pytest.approx(9.0, abs=0.01)
        driver.execute_script(
            "document.querySelectorAll('#lung-recording details').forEach((one) => { one.open = true; })"
        )
        jump = next(one for one in find(driver, "button.jump") if float(one.get_attribute("data-start")) == 6.0)
        jump.click()
        wait(driver, lambda driver: 6.0 <= sound_state(driver, "currentTime") < 9)
        place = "const one = document.querySelector('.picture'), box = one.getBoundingClientRect();"
        place += "const x = Number(one.dataset.left) + arguments[0] * (one.dataset.right - one.dataset.left);"
        place += "const init = { bubbles: true, clientX: box.left + x * box.width, clientY: box.top + 20 };"
        driver.execute_script(place + "one.dispatchEvent(new MouseEvent('click', init))", 0.25)
        wait(driver, lambda driver: 2.2 <= sound_state(driver, "currentTime") < 5)
        assert not sound_state(driver, "paused")
        assert not find(driver, ".playhead")[0].get_attribute("hidden")

        # The annotation is counted.
        table = find(driver, "table.agreement tbody tr")
        assert [row.find_elements(By.TAG_NAME, "td")[1].text.split(" of ")[1] for row in table] == ["2", "1", "1"]
        assert "of 3 events" in rows(driver)[0]

        # Downloads hold the result.
        results = download_all(driver, tmp_path, "one")
        assert json.loads(results["json"])["file"] == "one.wav"
        assert next(csv.DictReader(results["csv"].splitlines()))["file"] == "one.wav"
        for ending in ("labels.txt", "selections.txt", "TextGrid"):
            assert json.loads(results["json"])["segments"][0]["label"] in results[ending], ending
        driver.find_element(By.ID, "lung-all").click()
        table = downloaded(driver, tmp_path / "recordings.lung-srad.csv")
        assert {row["file"] for row in csv.DictReader(table.splitlines())} == {"one.wav", "two.flac"}

        # The other recording, by its row.
        find(driver, "#lung-overview button[data-index='1']")[0].click()
        shown(driver, "two.flac")
        wait(driver, lambda driver: sound_state(driver, "duration") == pytest.approx(5.0, abs=0.01))
        heading = "return document.querySelector('#lung-detail h2').getBoundingClientRect()"
        wait(driver, lambda driver: 0 <= driver.execute_script(f"{heading}.top") < 0.61 * 900)
        assert not find(driver, "table.agreement")
        assert hosts(driver) == {"127.0.0.1"}


def download_all(driver, folder, stem):
    names = {"JSON": "json", "CSV": "csv", "Audacity": "labels.txt", "Raven": "selections.txt", "TextGrid": "TextGrid"}
    results = {}
    for button in find(driver, "#lung-downloads button"):
        ending = names.pop(button.text)
        button.click()
        results[ending] = downloaded(driver, folder / f"{stem}.lung-srad.{ending}")
    assert not names
    return results


def downloaded(driver, path):
    wait(driver, lambda driver: path.is_file() and path.stat().st_size)
    return path.read_text(encoding="utf-8")


def test_the_page_explains_and_removes_the_files_of_who_leaves(live, sounds, tmp_path):
    folder = Path(live.folder) / "page"
    with browser(tmp_path, width=390, height=844, dark=True) as driver:
        driver.get(live.address)
        drop(driver, sounds / "two.flac")
        plain = shown(driver, "two.flac").get_attribute("src")
        # A phone gets the narrow picture, and nothing is wider than its window.
        width, height = driver.execute_script("const one = document.querySelector('.picture img'); "
                                              "return [one.naturalWidth, one.naturalHeight]")  # fmt: skip
        assert width < height
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        assert driver.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
        background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert max(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) < 60

        driver.find_element(By.ID, "lung-explain").click()
        wait(driver, lambda driver: "mixing map of abnormal" in find(driver, "#lung-recording")[0].text)
        assert find(driver, ".picture img")[0].get_attribute("src") != plain
        assert {"two.flac", "sound.flac"} <= {path.name for path in sound_files(folder)}
    deadline = time.monotonic() + SECONDS
    while sound_files(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not sound_files(folder)


def sound_files(folder):
    return [path for path in folder.rglob("*") if path.suffix in (".wav", ".flac")]


def open_microphone(driver):
    def tab(driver):
        return [one for one in find(driver, "button[role=tab]") if one.text == "Microphone"]

    wait(driver, tab)[0].click()


def test_the_microphone_is_classified(live, tmp_path):
    with browser(tmp_path) as driver:
        driver.get(live.address)
        open_microphone(driver)
        record = wait(driver, lambda driver: find(driver, "#lung-microphone button.record-button"))[0]
        assert not any(one.is_displayed() for one in find(driver, ".insecure"))
        wait(driver, lambda driver: record.is_displayed())
        record.click()
        stop = wait(driver, lambda driver: [one for one in find(driver, "#lung-microphone button.stop-button")
                                            if one.is_displayed()])[0]  # fmt: skip
        time.sleep(1.5)
        stop.click()
        shown(driver, "microphone 1.wav")
        assert sound_state(driver, "duration") > 1


def test_a_page_that_is_neither_local_nor_encrypted_says_that_it_has_no_microphone(classifier, tmp_path):
    service = LiveService(classifier, tmp_path)
    service.app = create_app(service.service, tmp_path, ("*",))
    with service.running(), browser(tmp_path) as driver:
        driver.get(service.address.replace("127.0.0.1", OTHER_NAME))
        open_microphone(driver)
        wait(driver, lambda driver: any(one.is_displayed() for one in find(driver, ".insecure")))


def test_the_page_works_where_no_recording_may_wait(classifier, sounds, tmp_path):
    service = LiveService(classifier, tmp_path / "service", waiting=0)
    with service.running(), browser(tmp_path) as driver:
        driver.get(service.address)
        drop(driver, sounds / "one.wav", sounds / "two.flac")
        shown(driver, "one.wav")
        wait(driver, lambda driver: len(find(driver, "#lung-overview .chip")) == 2)
