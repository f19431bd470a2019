"""The Makefile ends the demo with the command that opens the page, which exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_demo_ends_by_naming_the_command_that_opens_the_page():
    printed = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = re.search(r"(\S+)/lung-srad (serve --open)\"$", printed.splitlines()[-1])
    assert command and command[1] == ".venv/bin"
    from typer.testing import CliRunner

    from lung_srad_plugin.cli.main import app

    assert CliRunner().invoke(app, [*command[2].split(), "--help"]).exit_code == 0
