"""Write the model that comes with the package, from a finished run of hparams/starter.yaml.

    python recipes/SPRSound/make_starter.py results/starter/1

It takes the epoch that validation selected (or --select last), and replaces ``lung_srad_plugin/inference/starter``. To
have the scores on each test set in the card, evaluate the run's export first, then give the reports:

    lung-srad evaluate results/starter/1/export results/starter/sprsound/test_inter.csv --data-root SPRSOUND -o inter
    python recipes/SPRSound/make_starter.py results/starter/1 --test-set "SPRSound inter" --report inter/report.json
"""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.main import CONTEXT, main
from lung_srad_plugin.cli.model import note_missing_detector
from lung_srad_plugin.cli.options import choice
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.packaged import package_run
from lung_srad_plugin.inference.starter_model import FOLDER
from lung_srad_plugin.runs.selection import RULES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)


@app.command()
def make_starter(
    run: Annotated[Path, typer.Argument(help="The output folder of the finished run.")],
    output: Annotated[Path, typer.Option(help="Where to write the folder.")] = FOLDER,
    train_csv: Annotated[
        Path | None, typer.Option(help="The run's manifest of the training part, if it lies elsewhere by now.")
    ] = None,
    valid_csv: Annotated[
        Path | None, typer.Option(help="The same of the validation part, for the detector of unlike sounds.")
    ] = None,
    test_set: Annotated[
        list[str] | None, typer.Option(help="Name of a test set; give it and --report once for each.")
    ] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="The report.json of lung-srad evaluate on that test set.")
    ] = None,
    remark: Annotated[
        list[str] | None,
        typer.Option(help="A sentence for the card: how the model was chosen, what it was never tested on."),
    ] = None,
    select: Annotated[
        str, choice(RULES, "The epoch: selected by validation, the last, or selected on the test.")
    ] = "valid",
    timeline: Annotated[
        Path | None, typer.Option(help="The timeline.json of lung-srad check-timeline --choose for this epoch.")
    ] = None,
):
    """Write the model that comes with the package from a finished run of hparams/starter.yaml."""
    names, reports = test_set or [], report or []
    if len(names) != len(reports) or len(set(names)) < len(names):
        raise LungSRADError(
            f"{len(names)} --test-set and {len(reports)} --report; expected both once for each test set, and every "
            "name once"
        )
    folder = package_run(
        run, output, train_csv, dict(zip(names, reports, strict=True)), remark or (), select, timeline, valid_csv
    )
    note_missing_detector(folder)
    print(folder)


if __name__ == "__main__":
    main(application=app)
