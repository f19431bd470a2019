"""The Makefile ends the demo with the command that opens the page, which exists."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_demo_ends_by_naming_the_command_that_opens_the_page():
    # The tests themselves are run by make, whose variables would change what another make prints.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", "demo"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    command = re.search(r"(\S+)/lung-srad (serve --open)\"$", done.stdout.splitlines()[-1])
    assert command and command[1] == ".venv/bin"
    from typer.testing import CliRunner

    from lung_srad_plugin.cli.main import app

    assert CliRunner().invoke(app, [*command[2].split(), "--help"]).exit_code == 0
