"""The review page: its server's answers, and a reviewer at work in a real browser."""

import csv
import io
import json
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="needs the extra serve")
import uvicorn
from fastapi.testclient import TestClient

from lung_srad_plugin import LungSRADError, read_manifest
from lung_srad_plugin.review.app import MARK, create_review_app
from lung_srad_plugin.review.decisions import DECISIONS
from lung_srad_plugin.review.segments_table import read_segments
from lung_srad_plugin.serving.server import listen
from lung_srad_plugin.utils.provenance import file_sha256

HEADERS = {"X-Lung-SRAD": MARK}


def decisions_of(folder):
    if not (folder / DECISIONS).exists():
        return []
    with open(folder / DECISIONS, encoding="utf-8", newline="") as file:
        return [(row["ID"], row["decision"], row["label"], row["blind"]) for row in csv.DictReader(file)]


def open_page(folder, reviewer="Koch", blind=False):
    return TestClient(create_review_app(folder, reviewer, blind), base_url="http://127.0.0.1")


# ---- the server ----


@pytest.fixture
def client(segments):
    return open_page(segments)


def test_decisions_are_on_disk_when_the_server_answers(client, segments):
    first, second, *_ = read_segments(segments)
    answer = client.post("/api/decisions", json={"ID": first.ID, "label": "both"}, headers=HEADERS).json()
    assert answer == {"ID": first.ID, "decided": {first.ID: "both"}}
    assert decisions_of(segments) == [(first.ID, "correct", "both", "no")]
    client.post("/api/decisions", json={"ID": second.ID, "label": None}, headers=HEADERS)
    assert client.post("/api/undo", headers=HEADERS).json() == {"ID": second.ID, "decided": {first.ID: "both"}}
    assert client.get("/api/segments").json()["decided"] == {first.ID: "both"}
    other = open_page(segments, "Lee")
    assert other.get("/api/segments").json()["decided"] == {}
    assert other.post("/api/undo", headers=HEADERS).json()["ID"] is None


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"ID": "../7", "label": "both"}, HEADERS, 404),
        ({"ID": None, "label": "wet"}, HEADERS, 422),
        ({"ID": None, "label": "both"}, {}, 403),
        ({"ID": None, "label": "both"}, {**HEADERS, "Host": "evil.example"}, 400),
        ({"label": "both"}, HEADERS, 422),
    ],
)
def test_what_is_no_decision_of_the_page_is_refused(client, segments, body, headers, status):
    if body.get("ID", "") is None:
        body = {**body, "ID": read_segments(segments)[0].ID}
    assert client.post("/api/decisions", json=body, headers=headers).status_code == status
    assert decisions_of(segments) == []


def test_a_disk_that_refuses_is_said(client, segments, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    first = read_segments(segments)[0]
    monkeypatch.setattr("lung_srad_plugin.review.decisions.os.fsync", full)
    answer = client.post("/api/decisions", json={"ID": first.ID, "label": "both"}, headers=HEADERS)
    assert answer.status_code == 500 and "No space left" in answer.json()["detail"]
    monkeypatch.undo()
    assert client.get("/api/segments").json()["decided"] == {}
    client.post("/api/decisions", json={"ID": first.ID, "label": "wheeze"}, headers=HEADERS)
    assert [row[2] for row in decisions_of(segments)] == ["wheeze"]


def test_sound_and_picture_are_of_the_clip(client, segments):
    row = read_segments(segments)[1]
    sound, rate = soundfile.read(io.BytesIO(client.get(f"/api/sound/{row.ID}").content))
    clip, native = soundfile.read(segments / row.clip)
    assert rate == 16000 and len(sound) == len(clip) * rate // native
    assert np.corrcoef(sound[::2], clip)[0, 1] > 0.99 and abs(sound).max() == pytest.approx(0.9, abs=0.01)
    axes = client.get(f"/api/axes/{row.ID}").json()
    assert axes["duration"] == pytest.approx(row.clip_end - row.clip_start)
    assert [name for name, _ in axes["ticks"]] == ["150", "300", "600", "1,200", "2,400"]
    assert client.get(f"/api/picture/{row.ID}").content[8:12] == b"WEBP"
    assert client.get("/api/sound/nothing").status_code == 404


def test_a_blind_page_is_not_told_what_the_model_says(segments):
    client = open_page(segments, blind=True)
    for segment in client.get("/api/segments").json()["segments"]:
        assert set(segment) == {"ID", "start", "end", "clip_start", "clip_end", "recording"}
    assert 'data-key="a"' not in client.get("/").text and 'id="suggestion"' not in client.get("/").text
    client.post("/api/decisions", json={"ID": read_segments(segments)[0].ID, "label": "normal"}, headers=HEADERS)
    assert [row[3] for row in decisions_of(segments)] == ["yes"]


def test_a_taken_port_is_refused(run, segments):
    with listen("127.0.0.1", 0) as taken:
        code, _, err = run("review", segments, "--reviewer", "Koch", "--port", taken.getsockname()[1])
    assert code == 2 and "--port" in err


def test_a_missing_extra_is_named(run, segments, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in ("lung_srad_plugin.review.server", "lung_srad_plugin.serving.server"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    code, _, err = run("review", segments, "--reviewer", "Koch")
    assert code == 2 and "lung-srad[serve]" in err and "uvicorn" in err


# ---- a reviewer at work ----


@pytest.fixture
def address(segments):
    """The page of the reviewer Koch, served."""
    with serve(segments) as found:
        yield found


class serve:
    def __init__(self, folder, blind=False):
        self.server = uvicorn.Server(
            uvicorn.Config(create_review_app(folder, "Koch", blind), log_level="warning", timeout_graceful_shutdown=1)
        )

    def __enter__(self):
        self.bound = listen("127.0.0.1", 0)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.bound]}, daemon=True)
        self.thread.start()
        return f"http://127.0.0.1:{self.bound.getsockname()[1]}"

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(20)
        self.bound.close()


class Reviewer:
    """Presses keys on the page, and waits for what they do."""

    def __init__(self, driver):
        self.driver = driver

    def ask(self, script):
        return self.driver.execute_script(f"return {script}")

    def until(self, script, seconds=30):
        deadline = time.monotonic() + seconds
        while not (found := self.ask(script)):
            assert time.monotonic() < deadline, f"{script}; status: {self.ask('byId(`status`).textContent')}"
            time.sleep(0.05)
        return found

    def press(self, key):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(key).perform()

    def see(self, identifier):
        self.until(f"document.body.dataset.shown === {identifier!r} && !busy && player.readyState > 0")


def test_a_review_by_keys(browse, address, segments, tmp_path, run):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    first, second, third, fourth = (row.ID for row in read_segments(segments))
    reviewer = Reviewer(browse(address))
    reviewer.see(first)
    assert "7_chest.wav, 1.00 to 2.50 s" in reviewer.driver.find_element(By.ID, "name").text
    assert "demo says normal" in reviewer.driver.find_element(By.ID, "suggestion").text

    # The sound begins where the segment does, a second into its clip, and ends with it.
    reviewer.ask("window.begun = []")
    reviewer.ask("player.addEventListener('seeking', () => window.begun.push(player.currentTime))")
    assert reviewer.ask("player.duration") == pytest.approx(3.5, abs=0.01)
    reviewer.press(Keys.SPACE)
    reviewer.until("!player.paused && player.currentTime > 1.1")
    reviewer.until("player.paused")
    assert reviewer.ask("window.begun[0]") == pytest.approx(1.0, abs=0.05)
    assert reviewer.ask("player.currentTime") == pytest.approx(2.5, abs=0.4)
    head = float(reviewer.ask("byId('head').style.left").rstrip("%"))
    assert head == pytest.approx(100 * reviewer.ask("player.currentTime") / 3.5, abs=3)
    reviewer.press("c")
    reviewer.until("!player.paused && player.currentTime < 1")

    # Accept, correct, reject: each is on disk when the next segment is there.
    reviewer.press("a")
    reviewer.see(second)
    assert decisions_of(segments) == [(first, "accept", "normal", "no")]
    reviewer.press("4")
    reviewer.see(third)
    assert decisions_of(segments)[1:] == [(second, "correct", "both", "no")]
    reviewer.press("x")
    reviewer.see(fourth)
    assert decisions_of(segments)[2:] == [(third, "reject", "", "no")]
    assert "3 labelled" in reviewer.ask("byId('count').textContent")

    # Undo goes back to the segment, whose label is gone.
    reviewer.press("u")
    reviewer.see(third)
    assert decisions_of(segments)[3:] == [(third, "undo", "", "no")]
    assert not reviewer.driver.find_elements(By.CSS_SELECTOR, ".chosen")

    # Back and forth; what has a label shows it.
    reviewer.press(Keys.ARROW_LEFT)
    reviewer.see(second)
    assert [one.get_attribute("data-label") for one in reviewer.driver.find_elements(By.CSS_SELECTOR, ".chosen")] == [
        "both"
    ]
    reviewer.press("n")
    reviewer.see(third)
    reviewer.press(Keys.ARROW_RIGHT)
    reviewer.see(fourth)

    # A page that is opened again goes on with the first segment without a label.
    reviewer.driver.refresh()
    reviewer.see(third)
    assert "2 labelled" in reviewer.ask("byId('count').textContent")
    reviewer.driver.find_element(By.CSS_SELECTOR, "[data-label=crackle]").click()
    reviewer.see(fourth)
    reviewer.press("3")
    reviewer.until("byId('status').textContent.includes('Every segment')")
    assert not [entry for entry in reviewer.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert run("review", segments, "--export", tmp_path / "mine.csv", "--patient-pattern", "^(.)")[0] == 0
    labels = {row["ID"]: (row["label"], row["patient"]) for row in read_manifest(tmp_path / "mine.csv")}
    assert labels == {first: ("normal", "7"), second: ("both", "7"), third: ("crackle", "8"), fourth: ("wheeze", "8")}


def test_a_server_that_is_gone_is_said_and_nothing_is_passed_over(browse, segments):
    first = read_segments(segments)[0].ID
    with serve(segments) as address:
        reviewer = Reviewer(browse(address))
        reviewer.see(first)
    reviewer.press("1")
    reviewer.until("byId('status').className === 'error'")
    assert "NOT saved" in reviewer.ask("byId('status').textContent")
    assert reviewer.ask("document.body.dataset.shown") == first and decisions_of(segments) == []


@pytest.mark.parametrize(("width", "height", "dark"), [(390, 844, False), (1200, 850, True)])
def test_the_page_fits(browse, segments, width, height, dark):
    with serve(segments, blind=True) as address:
        reviewer = Reviewer(browse(address, width, height, dark))
        reviewer.see(read_segments(segments)[0].ID)
        assert reviewer.ask("document.documentElement.scrollWidth") <= width
        bottoms = reviewer.ask(
            "[...document.querySelectorAll('button')].map((one) => one.getBoundingClientRect().bottom)"
        )
        assert max(bottoms) <= height  # every key is in sight
        edges = reviewer.ask(
            "[...document.querySelectorAll('#seconds span')].map((one) => one.getBoundingClientRect())"
            ".map(({left, right}) => [left, right])"
        )
        assert len(edges) > 1 and all(one[1] < other[0] for one, other in pairwise(edges))
        rules = reviewer.ask("[...document.styleSheets].flatMap((one) => [...one.cssRules]).map((one) => one.cssText)")
        assert any("progress::-webkit-progress-value" in rule for rule in rules)  # the browser has understood it
        background = reviewer.ask("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (not dark)
        assert "demo" not in reviewer.ask("document.body.innerText")


# ---- training ----


def test_training_reads_the_labels(run, segments, tmp_path):
    """Segments, decisions, manifest, and steps of a real training whose weights move."""
    from toy import toy_arguments, write_toy_data

    from lung_srad_plugin.training.recipe import train

    client = open_page(segments)
    for row, label in zip(read_segments(segments), ("normal", "both", "crackle", "wheeze"), strict=True):
        client.post("/api/decisions", json={"ID": row.ID, "label": label}, headers=HEADERS)
    arguments = ["review", segments, "--export", tmp_path / "mine.csv", "--data-root", tmp_path]
    assert run(*arguments, "--patient-pattern", "^([^_]+)_")[0] == 0
    write_toy_data(tmp_path, cycles=(4, 4, 4))
    changes = {"train_csv": tmp_path / "mine.csv", "batch_size": 2, "number_of_epochs": 2}
    train(toy_arguments(tmp_path, tmp_path / "output", **changes))
    results = json.loads((tmp_path / "output" / "results.json").read_text(encoding="utf-8"))
    assert results["protocol"]["sha256"]["train"] == file_sha256(tmp_path / "mine.csv")
    losses = [entry["train"]["cross_entropy"] for entry in results["history"]]
    assert len(losses) == 2 and np.isfinite(losses).all() and losses[0] != losses[1]


def test_a_folder_without_segments_is_refused(tmp_path):
    with pytest.raises(LungSRADError, match="lung-srad segments"):
        create_review_app(tmp_path, "Koch")
