"""Where a model is looked for: what is local never asks the network, and the hub is asked once."""

import shutil
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import soundfile
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from speechbrain.utils.fetching import FetchConfig, FetchFrom, FetchSource

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.inference import loading
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.loading import load_model, locate


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.wav"
    soundfile.write(path, (0.1 * torch.randn(32000, generator=torch.Generator().manual_seed(0))).numpy(), 16000)
    return path


@pytest.fixture
def hub(model_folder, monkeypatch):
    """The hub, answered from the model folder; the list of what was asked of it."""
    asked = []

    def model_info(self, repo_id, **options):
        asked.append((repo_id, "list", options["revision"]))
        assert options["timeout"] > 0
        if repo_id != "owner/name":
            raise OSError(f"404: no {repo_id}")
        names = [path.name for path in model_folder.iterdir()]
        return huggingface_hub.ModelInfo(id=repo_id, siblings=[{"rfilename": name} for name in names])

    def download(repo_id, filename, **options):
        asked.append((repo_id, filename, options["revision"]))
        if repo_id != "owner/name" or not (model_folder / filename).is_file():
            raise LocalEntryNotFoundError(f"404: {filename} is not in {repo_id}")
        return str(model_folder / filename)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


# ---- the hub ----


def test_a_hub_id_is_fetched_verified_and_replaces_older_files(hub, noise, classifier, tmp_path):
    savedir = tmp_path / "saved"
    savedir.mkdir()
    for name in ("hyperparams.yaml", "embedding_model.safetensors"):
        (savedir / name).write_text("an older model", encoding="utf-8")
    options = {"savedir": savedir, "fetch_config": FetchConfig(revision="v2"), "run_opts": {"device": "cpu"}}
    model = LungSoundClassifier.from_hparams(source="owner/name", **options)
    assert model.classify_file(noise) == classifier.classify_file(noise)
    assert ("owner/name", "config.json", "v2") in hub
    assert ("owner/name", "embedding_model.safetensors", "v2") in hub
    assert len(hub) == len(set(hub)) == 6  # weights in one form only


def test_a_hub_id_without_savedir_uses_the_cache_of_the_hub(hub, noise, classifier, tmp_path, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for source in ("owner/name", "hf://owner/name", FetchSource(FetchFrom.HUGGING_FACE, "owner/name")):
        model = LungSoundClassifier.from_hparams(source=source, run_opts={"device": "cpu"})
        assert model.classify_file(noise) == classifier.classify_file(noise)
    assert not list(folder.iterdir())


def test_without_the_network_the_hub_is_not_asked_and_its_cache_is_used(hub):
    assert load_model("owner/name", fetch_config=FetchConfig(allow_network=False)).config.experiment == "tiny"
    assert "list" not in [name for _, name, _ in hub]


def test_a_hub_model_without_safetensors_is_loaded_from_the_other_files(hub, model_folder, monkeypatch):
    names = [path.name for path in model_folder.iterdir() if path.suffix != ".safetensors"]
    info = huggingface_hub.ModelInfo(id="owner/name", siblings=[{"rfilename": name} for name in names])
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, repo_id, **options: info)
    assert load_model("owner/name").config.experiment == "tiny"
    assert {"embedding_model.ckpt", "classifier.ckpt"} < {name for _, name, _ in hub}


def test_an_unknown_hub_id_is_asked_for_once(hub):
    with pytest.raises(LungSRADError, match=r"owner/other: no such folder here, .*404.*check the name and the network"):
        LungSoundClassifier.from_hparams(source="owner/other")
    assert hub == [("owner/other", "list", None)]


@pytest.fixture
def endpoint(monkeypatch):
    """A server in the hub's place; the list of the requests it got, and how it answers."""

    class Handler(BaseHTTPRequestHandler):
        requests, status, released = [], 503, threading.Event()

        def do_GET(self):
            self.requests.append(self.path)
            if self.status is None:
                self.released.wait(60)
                return
            self.send_response(self.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Handler
    Handler.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [401, 404, 429, 503, None])
def test_a_hub_that_fails_or_is_silent_gets_one_request(endpoint, status, monkeypatch):
    endpoint.status = status
    monkeypatch.setattr(loading, "HUB_TIMEOUT", 0.3)
    with pytest.raises(LungSRADError, match=r"owner/name: no such folder here"):
        load_model("owner/name")
    # The hub's package may ask for its list of agents, too; that does not name the model.
    assert [path for path in endpoint.requests if "owner" in path] == ["/api/models/owner/name"]


# ---- what is local ----

LOCAL = [
    *("no/such/folder/here", "./nothing", "./no/thing", "../no/thing", "/nothing", "/no/thing", "~/nothing/at/all"),
    *("~nobody/x", r"C:\models\lung", "C:/models", r"models\lung", "nothing", "", ".", "a//b", "owner/name/"),
    *(
        "x" * 5000,
        "x/" + "y" * 5000,
        "a\x00b",
        "a\x00/b",
        "hf://a/b/c",
        "hf://",
        "owner/na me",
        "-a/b",
        "présent/modèle",
    ),
]


@pytest.mark.parametrize("source", LOCAL)
def test_what_looks_like_a_path_never_asks_the_network(hub, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LungSRADError) as caught:
        load_model(source)
    assert hub == [] and len(str(caught.value)) < 500


def test_a_path_object_is_a_folder(hub):
    with pytest.raises(LungSRADError, match="owner/name: no such folder"):
        load_model(Path("owner/name"))
    assert hub == []


def test_what_begins_in_a_folder_here_is_local(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "export").mkdir(parents=True)
    with pytest.raises(LungSRADError, match=r"results/exprot: no such folder; .*did you mean results/export\?"):
        load_model("results/exprot")
    with pytest.raises(LungSRADError, match=r"results/other: no such folder"):
        load_model("results/other")
    assert hub == []


def test_a_mistyped_folder_is_not_taken_for_a_hub_id(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "export").mkdir(parents=True)
    for source, meant in (("resutls/export", "results/export"), ("resutls/other", "results")):
        with pytest.raises(LungSRADError, match=rf"{source}: .*did you mean {meant}\?.*write hf://{source}"):
            load_model(source)
    assert hub == []
    assert locate("hf://resutls/export") == FetchSource(FetchFrom.HUGGING_FACE, "resutls/export")


def test_the_home_folder_is_known(model_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(model_folder.parent))
    assert load_model("~/model").config.experiment == "tiny"


# ---- web addresses ----


def test_a_web_address_is_fetched_to_a_folder_that_is_removed(model_folder, monkeypatch, tmp_path):
    def retrieve(address, destination):
        name = address.removeprefix("http://example.org/m/")
        if name.endswith(".safetensors"):
            raise urllib.error.HTTPError(address, 404, "Not Found", None, None)
        shutil.copyfile(model_folder / name, destination)

    monkeypatch.setattr(urllib.request, "urlretrieve", retrieve)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = LungSoundClassifier.from_hparams(source="http://example.org/m", run_opts={"device": "cpu"})
    assert model.model_id.startswith("tiny-") and not list(tmp_path.iterdir())
