"""The command line, called in the process of the test."""

import pytest

from lung_srad_plugin.cli import main as cli


@pytest.fixture
def run(capsys):
    """Run the command line; return exit code, standard output, standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return ended.value.code or 0, output.out, output.err

    return call
