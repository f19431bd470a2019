"""Evaluate a model on KAUH in one command: whole recordings, in windows, with intervals by subject.

    python recipes/KAUH/evaluate.py results/lung_srad/1/export KAUH report --mixed leave_out

It is ``lung-srad prepare-kauh`` and ``lung-srad evaluate`` one after the other: manifest and mapping of labels are
written to the report's folder, and the report shows the mapping.
"""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.datasets import Mixed, prepare_kauh
from lung_srad_plugin.cli.evaluate import evaluate
from lung_srad_plugin.cli.main import CONTEXT, main
from lung_srad_plugin.cli.options import TrustCode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)


@app.command()
def evaluate_kauh(
    model: Annotated[str, typer.Argument(help="A model folder, the output folder of a training run, or starter.")],
    data_folder: Annotated[Path, typer.Argument(help="The KAUH download, unpacked.")],
    output: Annotated[Path, typer.Argument(help="Where to write.")],
    mixed: Mixed,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that go through the model at once.")] = 8,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Evaluate a model on the KAUH recordings."""
    prepared = prepare_kauh(data_folder, output, mixed)
    evaluate(
        [model, str(prepared.manifest)],
        output,
        data_root=prepared.data_root,
        labels_map=prepared.labels_map,
        windows=True,
        batch_size=batch_size,
        device=device,
        trust_code=trust_code,
    )


if __name__ == "__main__":
    main(application=app)
