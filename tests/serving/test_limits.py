"""What the HTTP API refuses, with which status, and that nothing is left of it."""

import io
import threading
import time

import anyio
import httpx
import numpy as np
import pytest
import soundfile
from uploads import FORM_END, FORM_START, recording, send_chunks

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.serving import service as service_module
from lung_srad_plugin.serving.deadline import Deadline
from lung_srad_plugin.serving.limits import ServingLimits
from lung_srad_plugin.serving.rate import MAX_CLIENTS, RateLimit
from lung_srad_plugin.serving.refusals import OutOfTime, ServiceFull, Stopped
from lung_srad_plugin.serving.upload import OVERHEAD

CLASSIFY = "/api/classify"


def post(client, content, name="breath.wav", field="file", **parameters):
    return client.post(CLASSIFY, files={field: (name, content)}, params=parameters)


def refused(client, answer, status, error):
    """Check the answer and that no file is left; return its message."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert set(answer.json()) == {"error", "message"}
    message = answer.json()["message"]
    assert str(client.folder) not in message
    assert list(client.folder.iterdir()) == []
    assert (client.service.at_work, client.service.waiting) == (0, 0)
    return message


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", "no_recording", "empty"),
        (b"not audio", "unusable", "cannot be read as audio"),
        (recording()[:30], "unusable", "breath.wav"),
        (recording(seconds=0.05), "unusable", "0.2 s"),
        (recording(rate=1000), "unusable", "4000"),
        (recording(seconds=20), "too_long", "at most 15 s"),
    ],
)
def test_a_recording_that_cannot_be_classified(serve, content, error, words):
    client = serve(seconds=15)
    message = refused(client, post(client, content), 422, error)
    assert message.startswith("breath.wav: ") and words in message


def test_a_recording_whose_header_promises_more_than_it_holds(client):
    content = recording(format="FLAC")
    message = refused(client, post(client, content[: len(content) // 2], "half.flac"), 422, "unusable")
    assert message.startswith("half.flac: ")


def test_many_channels_count_as_much_as_a_long_recording(serve):
    client, file = serve(seconds=0.5), io.BytesIO()
    soundfile.write(file, np.zeros((22050, 30), dtype="int16"), 48000, format="WAV")
    assert "samples" in refused(client, post(client, file.getvalue()), 422, "too_long")


def test_a_raw_file_is_known_by_its_ending(client):
    assert "sample rate" in refused(client, post(client, recording(), "a.raw"), 422, "unusable")


def test_too_large_is_refused_by_the_header_alone(serve):
    client = serve(megabytes=0.05)
    message = refused(client, post(client, bytes(100_000)), 413, "too_large")
    assert "0.05 MB" in message
    # Between the limit of a file and that of a form.
    assert refused(client, post(client, bytes(50_001)), 413, "too_large").startswith("breath.wav: ")


def refused_chunks(client, chunks, status, error):
    """As ``refused``, of a form that arrives in chunks and does not state its length."""
    found, body = send_chunks(client.app, chunks)
    return refused(client, httpx.Response(found, content=body), status, error)


def test_too_large_without_a_length_is_read_no_further_than_the_limit(serve):
    client, sent = serve(megabytes=0.05), []

    async def endless():
        yield FORM_START
        while True:
            sent.append(10_000)
            yield bytes(10_000)

    refused_chunks(client, endless(), 413, "too_large")
    assert 50_000 < sum(sent) <= 50_000 + OVERHEAD + 10_000


def test_a_slow_upload_ends(serve):
    async def slow():
        yield FORM_START
        await anyio.sleep(60)
        yield recording()

    refused_chunks(serve(upload_seconds=0.05), slow(), 408, "upload_too_slow")


def test_a_client_that_leaves_during_the_upload(client):
    async def broken():
        yield FORM_START
        yield recording()[:1000]

    refused_chunks(client, broken(), 503, "stopped")


def test_a_client_that_leaves_ends_the_classification(client, monkeypatch):
    ended = threading.Event()

    def endless(self, path, progress, **_):
        try:
            while True:
                time.sleep(0.01)
                progress(0, 1)
        except Stopped:
            ended.set()
            raise

    async def complete():
        yield FORM_START + recording() + FORM_END

    monkeypatch.setattr(LungSoundClassifier, "classify_file", endless)
    assert send_chunks(client.app, complete())[0] == 503
    assert ended.wait(10) and list(client.folder.iterdir()) == []


def test_the_end_of_the_service_ends_the_classification(client, monkeypatch):
    waits = threading.Event()

    def endless(self, path, progress, **_):
        waits.set()
        while True:
            time.sleep(0.01)
            progress(0, 1)

    monkeypatch.setattr(LungSoundClassifier, "classify_file", endless)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(client, recording()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waits.wait(10)
    while client.service.waiting < 1:
        time.sleep(0.01)
    client.service.close()
    for thread in threads:
        thread.join(20)
    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(503, "stopped")] * 2


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"path": "/etc/passwd"}},
        {"json": {"file": "/etc/passwd"}},
        {"data": {"path": "/etc/passwd"}},
        {"content": b"RIFF"},
        {},
    ],
)
def test_only_an_upload_is_read(client, request_):
    refused(client, client.post(CLASSIFY, **request_), 415, "no_upload")


@pytest.mark.parametrize(
    "request_",
    [
        {"files": {"path": ("a.wav", recording())}},
        {"files": {"file": (None, "/etc/passwd")}},
        {"files": [("file", ("a.wav", recording())), ("file", ("b.wav", recording()))]},
        {"files": {"file": ("a.wav", recording())}, "data": {"path": "/etc/passwd"}},
        {"content": b"--y", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"", "headers": {"Content-Type": "multipart/form-data"}},
    ],
)
def test_only_one_file_is_read_from_a_form(client, request_):
    refused(client, client.post(CLASSIFY, **request_), 422, "no_recording")


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "/etc/passwd", "..\\..\\a.wav", "a\0b.wav", "x" * 1000, "~"]
)
def test_a_name_is_a_label(client, name, tmp_path):
    before = set(tmp_path.rglob("*"))
    answer = post(client, recording(), name)
    assert answer.status_code == 200, answer.text
    assert not {"/", "\\"} & set(answer.json()["file"]) and len(answer.json()["file"]) <= 200
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"path": "/etc/passwd"}, "path"),
        ({"window": "long"}, "window"),
        ({"window": "nan"}, "window"),
        ({"window": 50}, "window"),
        ({"hop": 0}, "hop"),
        ({"merging": "sum"}, "merging"),
        ({"sensitivity": 12}, "threshold"),
        ({"format": "xml"}, "format"),
        ({"start": 1}, "start"),
        ({"start": [5] * 1001, "end": [6] * 1001}, "start"),
    ],
)
def test_wrong_parameters_are_named(client, parameters, word):
    answer = post(client, recording(), **parameters)
    assert answer.status_code == 422 and word in answer.json()["message"]
    assert list(client.folder.iterdir()) == []


def test_cycles_outside_the_recording_are_refused(client):
    assert "breath.wav" in refused(client, post(client, recording(), start=50, end=60), 422, "unusable")


def test_a_client_that_asks_too_often(serve):
    client = serve(rate=2)
    assert [post(client, recording()).status_code for _ in range(2)] == [200, 200]
    answer = post(client, recording())
    refused(client, answer, 429, "too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert client.get("/api/health").status_code == 200  # what costs nothing is not counted


def test_the_rate_is_for_each_client_and_memory_is_bounded():
    limit = RateLimit(1)
    assert [limit.take("a", 0.0), limit.take("b", 0.0), limit.take("a", 1.0), limit.take("a", 61.0)] == [0, 0, 59, 0]
    for number in range(MAX_CLIENTS + 10):
        limit.take(str(number), 100.0)
    assert len(limit._tokens) == MAX_CLIENTS


def test_a_full_service_refuses(serve):
    client = serve(waiting=1)
    with client.service.place(), client.service.place():
        answer = post(client, recording())
        assert (answer.status_code, answer.json()["error"]) == (503, "full") and "Retry-After" in answer.headers
    assert post(client, recording()).status_code == 200


def test_a_classification_that_takes_too_long_ends(serve):
    client = serve(work_seconds=1e-9)
    assert "1e-09 s" in refused(client, post(client, recording()), 503, "out_of_time")


def test_what_will_take_too_long_is_refused_before_it_has(serve, monkeypatch):
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(service_module, "Deadline", lambda seconds: Deadline(seconds, clock=lambda: next(now)))
    client = serve(work_seconds=60)
    message = refused(client, post(client, recording(seconds=60), hop=1, window=2), 503, "out_of_time")
    assert "would take about" in message and next(now) < 60


def test_a_pace_that_will_do_is_not_refused():
    now = iter([0, 5, 10, 11, 40, 61])
    slow = Deadline(60, clock=lambda: next(now))
    slow.check(1, 100)  # what comes before the first part is not its pace
    slow.check(9, 100)  # 5 s for 8 parts: 67 s in all, but a pace may change
    slow.check(2, 0)
    slow.check(99, 100)
    with pytest.raises(OutOfTime, match="took longer than the 60 s"):
        slow.check()


def test_what_nobody_expected_is_said_without_details(client, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(LungSoundClassifier, "classify_file", fail)
    assert "secret" not in refused(client, post(client, recording()), 500, "unexpected")


@pytest.mark.parametrize("page", [False, True])
def test_other_addresses_and_methods_answer_as_json(serve, page):
    client = serve(page=page)
    for path in ("/api/absent", "/api/classify/", "/api/a/b"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), path
    for method, path, allowed in (("GET", CLASSIFY, "POST"), ("PUT", CLASSIFY, "POST"), ("POST", "/api/model", "GET")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (405, "wrong_method"), method
        assert answer.headers["allow"] == allowed and allowed in answer.json()["message"]


def test_a_strange_name_of_this_machine_is_refused_with_the_cure(serve):
    client = serve(hosts=("localhost", "[::1]"))
    for host in ("evil.example", "localhost.evil.example", "[::2]", "[x", ""):
        answer = client.get("/api/health", headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]) == (400, "wrong_host"), host
        assert "http://localhost" in answer.json()["message"]
    for host in ("localhost", "LOCALHOST:80", "[::1]:7860"):
        assert client.get("/api/health", headers={"Host": host}).status_code == 200, host


@pytest.mark.parametrize("wrong", [{"megabytes": 0}, {"seconds": float("nan")}, {"at_work": 0}, {"rate": -1}])
def test_limits_are_checked(wrong):
    with pytest.raises(LungSRADError, match=next(iter(wrong))):
        ServingLimits(**wrong)


def test_threads_share_the_places(serve):
    service = serve(at_work=1, waiting=1).service
    release, refusals = threading.Event(), []

    def use():
        try:
            service.run(lambda: service.submit(lambda check: release.wait(10)))
        except ServiceFull as refusal:
            refusals.append(refusal)

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    while len(refusals) < 3:
        time.sleep(0.01)
    assert (service.at_work, service.waiting) == (1, 1)
    release.set()
    for thread in threads:
        thread.join()
    assert len(refusals) == 3 and (service.at_work, service.waiting) == (0, 0)
