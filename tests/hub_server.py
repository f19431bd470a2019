"""A stand-in of the Hugging Face hub: what ``huggingface_hub`` asks of it over HTTP, on this machine.

It keeps repositories with their commits in memory, checks tokens, and validates cards by rules that the hub is known to
have. ``failures`` makes routes answer with an error.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import pytest
import yaml
from huggingface_hub import repocard
from huggingface_hub.utils.sha import git_hash

TOKEN = "hf_writes"
ACCOUNT = "owner"
LFS_ENDINGS = (".ckpt", ".safetensors", ".onnx")
LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "other")
DATASET_TYPE = re.compile(r"(?:[\w-]+/)?[\w.-]+", re.ASCII)


class Repository:
    """A repository: whether it is private, and the files of each commit, newest last."""

    def __init__(self, private):
        self.private = private
        self.commits = [("0" * 40, {})]

    @property
    def sha(self):
        return self.commits[-1][0]

    @property
    def files(self):
        return self.commits[-1][1]


class Hub:
    """What the stand-in holds, the requests that it got, and how it fails.

    ``requests`` has (method, path) of each; ``failures`` maps a part of a path to a status; ``uploads`` are the SHA-256
    sums of what was put into its storage of large files.
    """

    def __init__(self):
        self.repositories, self.storage = {}, {}
        self.requests, self.failures, self.uploads = [], {}, []
        self.address = ""

    def changing(self):
        """Return the requests that would have changed something."""
        read_only = ("/api/validate-yaml",)
        return [one for one in self.requests if one[0] not in ("GET", "HEAD") and one[1] not in read_only]


def problems_of_card(content):
    """Return what the hub would refuse of a card's header."""
    found = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    data = yaml.safe_load(found[1]) if found else {}
    problems = []
    if data.get("license") not in LICENCES:
        problems.append(f'"license" must be one of {LICENCES}')
    for model in data.get("model-index", []):
        if not isinstance(model.get("name"), str):
            problems.append('"model-index[0].name" must be a string')
        for number, result in enumerate(model.get("results", [])):
            at = f"model-index[0].results[{number}]"
            if not isinstance(result.get("task", {}).get("type"), str):
                problems.append(f'"{at}.task.type" is required')
            dataset = result.get("dataset", {})
            if not DATASET_TYPE.fullmatch(str(dataset.get("type", ""))):
                problems.append(f'"{at}.dataset.type" fails to match the required pattern')
            if not isinstance(dataset.get("name"), str):
                problems.append(f'"{at}.dataset.name" is required')
            if not result.get("metrics") or not all({"type", "value"} <= set(one) for one in result["metrics"]):
                problems.append(f'"{at}.metrics" needs type and value')
    return problems


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, content=None, headers=(), error=None):
        body = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if error:
            self.send_header("X-Error-Message", error)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self):
        address = urlsplit(self.path)
        self.path, self.query = unquote(address.path), parse_qs(address.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, self.path))
        for part, status in self.hub.failures.items():
            if part in self.path:
                return self.answer(status, {"error": f"failed on purpose with {status}"})
        for method, pattern, respond in ROUTES:
            found = re.fullmatch(pattern, self.path)
            if found and self.command == method:
                return respond(self, body, *found.groups())
        return self.answer(404, error=f"no route {self.command} {self.path}")

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def is_owner(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, name):
        """Return a repository that the caller may see, or None after an answer."""
        found = self.hub.repositories.get(name)
        if found is None or (found.private and not self.is_owner()):
            self.answer(404 if self.is_owner() else 401, headers=[("X-Error-Code", "RepoNotFound")])
            return None
        return found

    def whoami(self, body):
        if not self.is_owner():
            return self.answer(401, error="Invalid credentials in Authorization header")
        return self.answer(200, {"type": "user", "name": ACCOUNT, "orgs": []})

    def validate(self, body):
        problems = problems_of_card(json.loads(body)["content"])
        errors = {"errors": [{"message": problem} for problem in problems], "warnings": []}
        return self.answer(400 if problems else 200, errors)

    def create(self, body):
        wanted = json.loads(body)
        name = f"{wanted.get('organization') or ACCOUNT}/{wanted['name']}"
        if not self.is_owner() or not name.startswith(f"{ACCOUNT}/"):
            return self.answer(403, error="You don't have the rights to create a model under this namespace")
        if name in self.hub.repositories:
            return self.answer(409, {"error": "You already created this model repo"})
        self.hub.repositories[name] = Repository(wanted.get("visibility") == "private")
        return self.answer(200, {"url": f"{self.hub.address}/{name}", "name": name, "id": name})

    def info(self, body, name, revision=None):
        found = self.repository(name)
        if found is None:
            return None
        siblings = [{"rfilename": path, **describe(path, content)} for path, content in found.files.items()]
        return self.answer(200, {"id": name, "private": found.private, "sha": found.sha, "siblings": siblings})

    def preupload(self, body, name, revision):
        found = self.repository(name)
        if found is None:
            return None
        files = []
        for one in json.loads(body)["files"]:
            there = found.files.get(one["path"])
            known = describe(one["path"], there) if there is not None else {}
            files.append(
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(LFS_ENDINGS) else "regular",
                    "shouldIgnore": False,
                    "oid": known["lfs"]["sha256"] if "lfs" in known else known.get("blobId"),
                }
            )
        return self.answer(200, {"files": files})

    def batch(self, body, name):
        objects = []
        for one in json.loads(body)["objects"]:
            actions = {"upload": {"href": f"{self.hub.address}/storage/{one['oid']}"}}
            objects.append({**one} if one["oid"] in self.hub.storage else {**one, "actions": actions})
        return self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, body, oid):
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.storage[oid] = body
        self.hub.uploads.append(oid)
        return self.answer(200)

    def commit(self, body, name, revision):
        found = self.repository(name)
        if found is None:
            return None
        lines = [json.loads(line) for line in body.splitlines()]
        files = dict(found.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", found.sha) != found.sha:
                return self.answer(412, error="A commit has happened since")
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.storage[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = hashlib.sha1(found.sha.encode() + body).hexdigest()
        found.commits.append((sha, files))
        return self.answer(200, {"commitUrl": f"{self.hub.address}/{name}/commit/{sha}", "commitOid": sha})

    def resolve(self, body, name, revision, path):
        found = self.repository(name)
        if found is None:
            return None
        if path not in found.files:
            return self.answer(404, headers=[("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", found.sha)])
        known = describe(path, found.files[path])
        etag = known["lfs"]["sha256"] if "lfs" in known else known["blobId"]
        return self.answer(200, found.files[path], [("X-Repo-Commit", found.sha), ("ETag", f'"{etag}"')])


def describe(path, content):
    """Return what the hub says of a file."""
    known = {"size": len(content), "blobId": git_hash(content)}
    if path.endswith(LFS_ENDINGS):
        known["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return known


_NAME = r"([^/]+/[^/]+)"
ROUTES = [
    ("GET", "/api/whoami-v2", Handler.whoami),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("POST", "/api/repos/create", Handler.create),
    ("GET", f"/api/models/{_NAME}", Handler.info),
    ("GET", f"/api/models/{_NAME}/revision/([^/]+)", Handler.info),
    ("POST", f"/api/models/{_NAME}/preupload/([^/]+)", Handler.preupload),
    ("POST", f"/api/models/{_NAME}/commit/([^/]+)", Handler.commit),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/storage/([0-9a-f]{64})", Handler.put),
    ("GET", f"/{_NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
    ("HEAD", f"/{_NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
]


@pytest.fixture
def hub_server(monkeypatch, tmp_path):
    """The stand-in, in the hub's place; its owner is logged in, and nothing is cached."""
    hub = Hub()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    # The card's validator has a fixed address in huggingface_hub 1, the newest for Python 3.10.
    session = repocard.get_session
    monkeypatch.setattr(
        repocard,
        "get_session",
        lambda: SimpleNamespace(
            post=lambda url, **options: session().post(url.replace("https://huggingface.co", hub.address), **options)
        ),
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its storage speaks no HTTP that can be stood in for
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no_tokens"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()
