"""The command line, ``lung-srad``: its commands, and how mistakes end it.

Options are spelt ``--like-this``; underscores are read as hyphens, in choices and commands too. Exit codes: 0 all went
well; 1 some inputs failed, and standard error lists them; 2 the command was used wrongly. Commands import what they
need when they run, so that ``--help`` is there at once.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lung_srad_plugin.cli.check_timeline import check_timeline
from lung_srad_plugin.cli.classify import classify
from lung_srad_plugin.cli.datasets import datasets, prepare_hf_lung, prepare_kauh, prepare_own, prepare_sprsound
from lung_srad_plugin.cli.evaluate import evaluate
from lung_srad_plugin.cli.exit_codes import MISUSED
from lung_srad_plugin.cli.explain import explain
from lung_srad_plugin.cli.export_web import export_web
from lung_srad_plugin.cli.listen import listen
from lung_srad_plugin.cli.model import export, info
from lung_srad_plugin.cli.prepare import cut_manifest, join_manifests, prepare, synthesize, validate
from lung_srad_plugin.cli.push import push
from lung_srad_plugin.cli.retention import retention
from lung_srad_plugin.cli.review import review
from lung_srad_plugin.cli.screen import EXAMPLES, screen
from lung_srad_plugin.cli.segments import segments
from lung_srad_plugin.cli.serve import serve
from lung_srad_plugin.cli.spectrum import spectrum
from lung_srad_plugin.cli.train import PASS_ON, ablate, train
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable_lines
from lung_srad_plugin.version import __version__


def _hyphens(word: str) -> str:
    return word.replace("_", "-")


CONTEXT = {"help_option_names": ["-h", "--help"], "token_normalize_func": _hyphens}

app = typer.Typer(
    name="lung-srad",
    help="Lung sounds: prepare data, train, classify recordings. Research use only: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


def _show_version(value: bool):
    if value:
        print(f"lung-srad {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
):
    del version


app.command()(prepare)
app.command()(datasets)
app.command()(prepare_sprsound)
app.command()(prepare_kauh)
app.command()(prepare_hf_lung)
app.command()(prepare_own)
app.command()(synthesize)
app.command()(validate)
app.command()(join_manifests)
app.command()(cut_manifest)
app.command(context_settings=PASS_ON)(train)
app.command(context_settings=PASS_ON)(ablate)
app.command()(evaluate)
app.command()(spectrum)
app.command()(retention)
app.command()(check_timeline)
app.command()(explain)
app.command()(export)
app.command()(export_web)
app.command()(info)
app.command()(push)
app.command()(classify)
app.command(epilog=EXAMPLES)(screen)
app.command()(listen)
app.command()(serve)
app.command()(segments)
app.command()(review)


def main(arguments: Sequence[str] | None = None, application: typer.Typer = app) -> None:
    """Run the command line and end the process; a user's mistake becomes one message and exit code 2.

    Arguments
    ---------
    arguments : sequence of str, optional
        By default those of the process.
    application : typer.Typer
        By default ``lung-srad``; the scripts of the recipes have their own.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # What a terminal's encoding has no character for is shown as an escape instead of ending the program.
            stream.reconfigure(errors="backslashreplace")
    try:
        application(arguments)
    except LungSRADError as error:
        print(f"error: {printable_lines(error)}", file=sys.stderr)
        sys.exit(MISUSED)
