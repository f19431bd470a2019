"""The page serves and reads no file but what was uploaded to it, and keeps the limits of the service."""

import json
import os
import time
from pathlib import Path

import httpx
import pytest
from live_service import LiveService
from uploads import recording

from lung_srad_plugin.serving import cleaning
from lung_srad_plugin.serving.cleaning import remove_old_files
from lung_srad_plugin.serving.mount import MAX_EVENTS

SECRET = "a secret of the server"


@pytest.fixture
def secret(tmp_path):
    """A file of the server that no client may get, which is a recording too."""
    path = tmp_path / "secret.wav"
    path.write_bytes(recording() + SECRET.encode())
    return path


@pytest.fixture
def page(live):
    """The page of the service, as Gradio holds it."""
    (mounted,) = (route.app for route in live.app.routes if hasattr(getattr(route, "app", None), "get_blocks"))
    return mounted.get_blocks()


def get(live, path):
    """GET a path as it is, without ``..`` being resolved by the client."""
    url = httpx.URL(live.address).copy_with(raw_path=path.encode())
    return httpx.get(url, timeout=30)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file={}",
        "/gradio_api/file=/../..{}",
        "/gradio_api/file=%2F..{}",
        "/gradio_api/file/{}",
        "/file={}",
        "/static/../../../../../../../../../../..{}",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{}",
        "/assets/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{}",
        "/svelte/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{}",
        "/static-offline-docs/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{}",
        "/gradio_api/custom_component/x/client/component/..%2f..%2f..%2f..{}",
    ],
)
def test_no_route_serves_a_file_of_the_server(live, secret, path):
    answer = get(live, path.format(secret))
    assert answer.status_code in (400, 403, 404) and SECRET not in answer.text


def test_files_of_the_working_folder_are_not_served(live, secret, monkeypatch):
    monkeypatch.chdir(secret.parent)
    assert get(live, "/gradio_api/file=secret.wav").status_code == 403


def test_a_link_out_of_the_folder_of_the_page_is_not_followed(live, secret):
    link = Path(live.folder) / "page" / "link.wav"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(secret)
    try:
        assert get(live, f"/gradio_api/file={link}").status_code == 403
        assert event(live, {"path": str(link), "meta": {"_type": "gradio.FileData"}}).status_code == 403
    finally:
        link.unlink()


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/file=http://127.0.0.1/", "/gradio_api/file=https%3A%2F%2Fexample.com/a.wav"),
        *("/gradio_api/proxy=http://127.0.0.1/", "/gradio_api/file=file:///etc/passwd"),
    ],
)
def test_the_server_fetches_no_address(live, path):
    answer = get(live, path)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


def event(live, value, route="/gradio_api/call/classify"):
    body = {"data": [value], "fn_index": 0, "session_hash": "x"}
    return httpx.post(live.address + route, json=body, timeout=30)


@pytest.mark.parametrize("route", ["call/classify", "queue/join", "run/classify", "api/classify", "call/v2/classify"])
@pytest.mark.parametrize("with_meta", [True, False])
def test_an_event_may_not_name_a_file_of_the_server(live, secret, route, with_meta):
    meta = {"meta": {"_type": "gradio.FileData"}} if with_meta else {}
    for path in (str(secret), os.path.relpath(secret), "http://127.0.0.1/a.wav", "https://example.com/a.wav", "a\0b"):
        answer = event(live, {"path": path, **meta}, f"/gradio_api/{route}")
        assert answer.status_code == 403, (path, answer.text)
    kept = Path(live.folder).rglob("*")
    assert not any(SECRET.encode() in path.read_bytes() for path in kept if path.is_file())


def test_gradio_refuses_such_an_event_by_itself_too(page, secret):
    """Without the guard in front, which a later version of Gradio may know other ways around."""
    from gradio import processing_utils
    from gradio.context import LocalContext
    from gradio.exceptions import InvalidPathError

    token = LocalContext.blocks.set(page)
    try:
        with pytest.raises(InvalidPathError):
            processing_utils._check_allowed(secret, check_in_upload_folder=True)
    finally:
        LocalContext.blocks.reset(token)


def test_an_event_that_is_no_json_or_too_large(live):
    assert httpx.post(f"{live.address}/gradio_api/call/classify", content=b"{").status_code == 403
    deep = b"[" * 100_000 + b"]" * 100_000
    assert httpx.post(f"{live.address}/gradio_api/call/classify", content=deep).status_code == 403
    assert httpx.post(f"{live.address}/gradio_api/call/classify", content=bytes(20_000_001)).status_code == 413


@pytest.mark.parametrize("route", ["upload", "process_recording"])
def test_the_page_takes_no_larger_upload_than_the_api(live, route):
    before = set(Path(live.folder).rglob("*"))
    files = {"files": ("a.wav", bytes(600_000))}
    assert httpx.post(f"{live.address}/gradio_api/{route}", files=files).status_code == 413
    assert set(Path(live.folder).rglob("*")) == before


def test_old_files_of_the_page_are_removed_and_the_oldest_of_too_many(tmp_path):
    now = time.time()
    for age, name in ((50, "a/old.wav"), (20, "b/older.wav"), (10, "c.wav"), (0, "d/new.wav")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (now - age, now - age))
    remove_old_files(tmp_path, age=40, total=1000)
    assert {path.name for path in tmp_path.rglob("*")} == {"b", "older.wav", "c.wav", "d", "new.wav"}
    remove_old_files(tmp_path, age=40, total=250)
    assert {path.name for path in tmp_path.rglob("*")} == {"c.wav", "d", "new.wav"}


def test_the_service_looks_for_old_files_while_it_runs(classifier, tmp_path, monkeypatch):
    for name in ("GRADIO_TEMP_DIR", "GRADIO_EXAMPLES_CACHE"):  # of the service that the other tests ask
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(cleaning, "PERIOD", 0.05)
    monkeypatch.setattr(cleaning, "MAX_AGE", 0.2)
    with LiveService(classifier, tmp_path).running() as service:
        answer = httpx.post(f"{service.address}/gradio_api/upload", files={"files": ("a.wav", recording())})
        (kept,) = map(Path, answer.json())
        assert kept.is_relative_to(tmp_path)
        deadline = time.monotonic() + 20
        while kept.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not kept.exists()


def test_the_queue_of_the_page_is_bounded(live, page):
    assert page._queue.max_size == MAX_EVENTS
    assert page._queue.default_concurrency_limit == live.service.limits.at_work


def test_nothing_of_the_page_is_asked_from_elsewhere(live):
    config = httpx.get(f"{live.address}/config").json()
    assert config["analytics_enabled"] is False and not config.get("is_space")


def test_other_sites_are_kept_out(live):
    origin = {"Origin": "https://evil.example"}
    for path in ("/api/model", "/config", "/gradio_api/info"):
        headers = httpx.get(live.address + path, headers=origin).headers
        assert "access-control-allow-origin" not in headers, path
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{live.address}/api/classify", headers=preflight).status_code == 400
    files = {"file": ("a.wav", recording())}
    cross = httpx.post(f"{live.address}/api/classify", files=files, headers={"Sec-Fetch-Site": "cross-site"})
    assert (cross.status_code, cross.json()["error"]) == (403, "forbidden")
    # A name that an attacker makes point to this machine.
    assert httpx.get(f"{live.address}/api/model", headers={"Host": "evil.example"}).status_code == 400
    for name in ("localhost", "127.0.0.1:80", "[::1]:80"):
        assert httpx.get(f"{live.address}/api/model", headers={"Host": name}).status_code == 200


def test_the_documentation_needs_no_network(live):
    document = httpx.get(f"{live.address}/openapi.json").json()
    assert set(document["paths"]) == {"/api/classify", "/api/model", "/api/health"}
    assert "file" in json.dumps(document["paths"]["/api/classify"]["post"]["requestBody"])
    assert {"200", "413", "415", "422", "429", "503"} <= set(document["paths"]["/api/classify"]["post"]["responses"])
    page = httpx.get(f"{live.address}/docs").text
    assert "http://" not in page and "https://" not in page
    for part in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f'"/static-offline-docs/{part}"' in page
        assert httpx.get(f"{live.address}/static-offline-docs/{part}").status_code == 200
