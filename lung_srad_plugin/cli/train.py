"""``lung-srad train`` and ``ablate``: one experiment, or a grid of them."""

from pathlib import Path
from typing import Annotated

import typer

# What follows the file is for the experiment: its settings are checked there, word by word.
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def train(
    context: typer.Context,
    hparams: Annotated[
        Path,
        typer.Argument(
            help="The experiment: a file, or the name of one that comes with lung-srad, for example lung_srad."
        ),
    ],
):
    """Train and evaluate. What follows the file goes to the recipe: --key value, --device cuda, ...

    --pretrained starter begins with the weights of the model that comes with lung-srad, in an encoder of its size.
    """
    from lung_srad_plugin.training.recipe import main as run_training

    raise typer.Exit(run_training([str(hparams), *context.args]))


def ablate(
    context: typer.Context,
    grid: Annotated[
        Path,
        typer.Argument(help="The grid: a file, or the name of one that comes with lung-srad, for example ablation."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the runs and of the table.")],
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; by default one, or one for each device.")] = None,
    devices: Annotated[
        str | None, typer.Option(help="Devices to spread the runs over, with commas: cuda:0,cuda:1.")
    ] = None,
):
    """Run a grid of experiments over seeds and write their table. --key value goes to every run.

    Finished runs are kept, and stopped ones resume: give the same command again.
    """
    from lung_srad_plugin.ablation.command import ablate as run_grid
    from lung_srad_plugin.runs.command_line import read_overrides

    names = devices.split(",") if devices is not None else None
    raise typer.Exit(run_grid(grid, output, read_overrides(context.args), names, jobs))
