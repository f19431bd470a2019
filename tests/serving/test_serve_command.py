"""``lung-srad serve`` as a process: one line with the address, answers, a clean end; and what it refuses at once."""

import os
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from uploads import recording

from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.serving import server
from lung_srad_plugin.serving.limits import SHARED_RATE
from lung_srad_plugin.serving.server import listen

SERVE = "from lung_srad_plugin.cli.main import main; main()"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command; return exit code, standard output, standard error, and how the server was called."""
    calls = []
    monkeypatch.setattr(server, "run_server", lambda service, *arguments: calls.append((service, *arguments)))

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(["serve", *map(str, arguments)])
        for service, *_ in calls:
            service.close()
        return ended.value.code or 0, *capsys.readouterr(), calls

    return call


@pytest.mark.skipif(os.name == "nt", reason="needs signals as on POSIX")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])  # of a keyboard; of systemd, Docker and kill
def test_it_answers_until_it_is_ended_and_leaves_no_file(model_folder, tmp_path, end):
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 > {tmp_path / 'opened'}\n")
    browser.chmod(0o755)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", model_folder, "--port", "0", "--open"],
        env=os.environ | {"TMPDIR": str(temporary), "BROWSER": str(browser)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        address = re.match(r"Lung-SRAD: (http://127\.0\.0\.1:\d+) ", line)[1]
        files = {"file": ("breath.wav", recording())}
        assert httpx.post(f"{address}/api/classify", files=files, timeout=60).json()["file"] == "breath.wav"
        assert httpx.get(address).status_code == 200 and list(temporary.glob("lung-srad-*"))
        process.send_signal(end)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output, errors) == (0, "", "")
    assert not list(temporary.glob("lung-srad-*"))
    assert (tmp_path / "opened").read_text().strip() == address


def test_a_port_that_is_taken(run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err, calls = run("no/such/model", "--port", port)  # refused before the model is looked for
    assert (code, out, calls) == (2, "", []) and f"port {port}" in err and "--port" in err


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "::ffff"])
def test_an_address_of_another_machine(host):
    with pytest.raises(LungSRADError, match=re.escape(host)):
        listen(host, 0)


def test_this_machine_alone_is_the_default(run, model_folder):
    code, _, err, [(service, bound, open_browser, proxy)] = run(model_folder, "--port", 0)
    assert (code, err, open_browser, proxy) == (0, "", False, None)
    assert service.limits.rate == 0 and bound.fileno() == -1  # closed when the command ends


def test_others_are_let_in_with_a_warning(run, model_folder):
    code, _, err, [(service, *_)] = run(model_folder, "--host", "0.0.0.0", "--port", 0, "--proxy", "10.0.0.1")
    assert code == 0 and err.startswith("warning: ") and "0.0.0.0" in err and "password" in err
    assert service.limits.rate == SHARED_RATE


def test_limits_of_the_command_line(run, model_folder):
    wanted = {"megabytes": 2, "seconds": 30, "at-work": 2, "waiting": 0, "work-seconds": 9, "rate": 5}
    options = [word for name, value in wanted.items() for word in (f"--{name}", value)]
    *_, [(service, *_)] = run(model_folder, "--port", 0, *options)
    limits = service.limits
    assert all(getattr(limits, name.replace("-", "_")) == value for name, value in wanted.items())
    code, _, err, _ = run(model_folder, "--port", 0, "--seconds", -1)
    assert code == 2 and "seconds" in err


def test_the_starter_model_is_described(run):
    code, _, err, _ = run("--port", 0)
    assert code == 0 and "starter" in err and "not a medical device" in err


@pytest.mark.parametrize("package", ["fastapi_offline", "uvicorn"])
def test_a_missing_extra_is_named(run, monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith("lung_srad_plugin.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err, _ = run()
    assert code == 2 and package in err and "lung-srad[serve]" in err
