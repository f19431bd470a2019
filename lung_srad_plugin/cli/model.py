"""``lung-srad export`` and ``info``: model folders."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode, choice
from lung_srad_plugin.runs.selection import RULES
from lung_srad_plugin.utils.text import printable, printable_lines, rich_text


def export(
    run: Annotated[Path, typer.Argument(help="The output folder of a training run.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the model: absent, empty, or an earlier export.")],
    select: Annotated[str, choice(RULES, "Which epoch: best on valid, the last, or best on test.")] = "valid",
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx too.")] = False,
    timeline: Annotated[
        Path | None,
        typer.Option(
            help="The timeline.json of lung-srad check-timeline --choose for this epoch: the folder then recommends "
            "its windows, merging and thresholds."
        ),
    ] = None,
    trust_code: TrustCode = False,
    train_csv: Annotated[
        Path | None,
        typer.Option(
            help="The run's manifest of the training part, if it lies elsewhere by now: the detector of sounds unlike "
            "the training sounds is fitted on its recordings."
        ),
    ] = None,
    valid_csv: Annotated[Path | None, typer.Option(help="The same of the validation part.")] = None,
):
    """Write a checkpoint of a run as a model folder, verified."""
    from lung_srad_plugin.export.export import export_run

    named = {"train": train_csv, "valid": valid_csv}
    manifests = {part: path for part, path in named.items() if path is not None}
    export_run(run, folder, select, onnx, trust_code, timeline, manifests or None)
    note_missing_detector(folder)
    print(printable(folder))


def note_missing_detector(folder: Path) -> None:
    """Say on standard error where a model folder has no detector of unlike sounds, and why."""
    from lung_srad_plugin.export.model_folder import read_config
    from lung_srad_plugin.export.novelty_file import describe_missing

    config = read_config(folder)
    if config.novelty is None or not config.novelty.available:
        print(f"note: no detector of unlike sounds: {printable(describe_missing(config))}", file=sys.stderr)


def info(
    model: Annotated[str, typer.Argument(help="A model folder, or starter: the model that comes with lung-srad.")],
):
    """Print a model's card: data, protocol, scores, intended use and limits."""
    from lung_srad_plugin.export.model_folder import read_card, read_config
    from lung_srad_plugin.inference.starter_model import model_path

    folder = model_path(model)
    config = read_config(folder)
    text = printable_lines(read_card(folder))
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    body = text.split("---\n", 2)[-1]  # without the hub's header
    Console().print(Markdown(body), rich_text(f"{config.model} in {folder}", "dim"))
