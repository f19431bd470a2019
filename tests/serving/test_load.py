"""Many clients at once: every answer is the classifier's own, and nothing is left of the requests."""

import gc
import threading
import time
from pathlib import Path

import httpx
import pytest
from uploads import recording

CLIENTS = 8
REQUESTS = 4  # of each client


def test_eight_clients_get_the_answers_of_the_classifier_alone(live, classifier):
    recordings = [recording(seed=number, seconds=3 + number / 2) for number in range(CLIENTS)]
    expected = [classifier.classify_file(content, name="breath.wav").to_dict() for content in recordings]
    answers, problems = [[] for _ in recordings], []

    def ask(number):
        try:
            with httpx.Client(base_url=live.address, timeout=120, trust_env=False) as client:
                for request in range(REQUESTS):
                    files = {"file": ("breath.wav", recordings[number] if request != 1 else b"text")}
                    answers[number].append(client.post("/api/classify", files=files))
        except Exception as error:
            problems.append(error)

    def ask_at_once():
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    ask_at_once()  # what is opened once is open by now
    opened = open_files()
    ask_at_once()
    assert not problems
    for answer, wanted in zip(answers, expected, strict=True):
        assert [one.status_code for one in answer] == [200, 422, 200, 200] * 2
        assert all(one.json() == wanted for one in answer if one.status_code == 200)
    assert (live.service.at_work, live.service.waiting) == (0, 0)
    left = [path for path in Path(live.folder).rglob("*") if path.is_file() and "page" not in path.parts]
    assert left == []
    if opened is not None:
        # The server closes a connection a moment after its client.
        deadline = time.monotonic() + 10
        while open_files() > opened and time.monotonic() < deadline:
            time.sleep(0.1)
        assert open_files() <= opened


def open_files():
    """How many files and connections this process has open; None where the system does not say."""
    gc.collect()
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else None


@pytest.mark.parametrize("at_work", [2, 3])
def test_several_workers_share_one_classifier(serve, classifier, at_work):
    client = serve(at_work=at_work)
    recordings = [recording(seed=number, seconds=4) for number in range(6)]
    expected = [classifier.classify_file(content, name="a.wav").to_dict() for content in recordings]
    answers = {}

    def ask(number):
        answers[number] = client.post("/api/classify", files={"file": ("a.wav", recordings[number])})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(recordings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[number].json() for number in range(len(recordings))] == expected
