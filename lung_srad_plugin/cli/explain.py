"""``lung-srad explain``: maps of where a model's decisions come from, as a page, pictures and a table."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode


def explain(
    model: Annotated[
        str, typer.Argument(help="A model folder, a hub id, or starter: the one that comes with lung-srad.")
    ],
    sources: Annotated[
        list[str], typer.Argument(help="A manifest (.csv); or recordings, folders of them, patterns such as 'a/*.wav'.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for index.html, explanations.csv, summary.json and maps/.")],
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} in the manifest stands for.")] = None,
    labels_map: Annotated[
        Path | None, typer.Option(help="JSON: the manifest's labels to the model's, null to leave rows out.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="mixing: back through the mixing matrices of the scans, for encoders with SS2D layers; gradients: "
            "integrated gradients, and occlusion, both by captum, for every encoder. May be repeated; mixing and "
            "gradients if left out."
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="What is explained: predicted, the most probable class; abnormal; or a class.")
    ] = "predicted",
    limit: Annotated[
        int, typer.Option(min=1, help="Cycles on the page at most, as many of each label of the manifest.")
    ] = 24,
    sound: Annotated[bool, typer.Option(help="Put the sounds into the page.")] = True,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Show where in the spectrogram a model's decisions come from, and how far the maps can be trusted.

    Of recordings without a manifest, the windows of the model's length are explained one after the other.
    """
    from lung_srad_plugin.cli.explain_cycles import ExplainOptions, explain_cycles

    options = ExplainOptions(tuple(method or ("mixing", "gradients")), target, limit, sound)
    raise typer.Exit(explain_cycles(model, sources, output, options, data_root, labels_map, device, trust_code))
