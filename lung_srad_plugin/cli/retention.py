"""``lung-srad retention``: of which runs, and on which cycles."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode


def retention(
    folders: Annotated[
        list[Path], typer.Argument(help="The output folder of lung-srad ablate, or those of training runs.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for figures and tables.")] = Path("retention"),
    manifest: Annotated[
        Path | None,
        typer.Option(help="Cycles on which retention is measured; the first run's validation cycles if left out."),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} in the manifest stands for.")] = None,
    cycles: Annotated[int, typer.Option(min=1, help="How many cycles, as many of each class.")] = 16,
    select: Annotated[
        list[str] | None, typer.Option(help="Checkpoint: valid, last or test; may be repeated. valid if left out.")
    ] = None,
    part: Annotated[
        str, typer.Option(help="The cycles of which the scores are: valid, test, or the name of a test set.")
    ] = "test",
    cutoff: Annotated[
        float, typer.Option(help="What counts as a high spatial frequency, in cycles per position.")
    ] = 0.25,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of runs for the intervals.")] = 10_000,
    confidence: Annotated[float, typer.Option(help="Of the intervals, in percent.")] = 95.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    trust_code: TrustCode = False,
):
    """Correlate how far the layers of runs keep high spatial frequencies with what the runs recognise."""
    from lung_srad_plugin.analysis.checkpoints import MEAN
    from lung_srad_plugin.analysis.retention_command import RetentionOptions
    from lung_srad_plugin.analysis.retention_command import retention as measure
    from lung_srad_plugin.analysis.retention_tables import title_of
    from lung_srad_plugin.metrics.bootstrap import Bootstrap
    from lung_srad_plugin.reporting.pages import format_interval

    options = RetentionOptions(
        manifest=manifest,
        data_root=data_root,
        cycles=cycles,
        rules=tuple(select or ("valid",)),
        part=part,
        cutoff=cutoff,
        bootstrap=Bootstrap(resamples, confidence, seed),
        trust_code=trust_code,
    )
    figures, correlations = measure(folders, output, options)
    print(f"{len({one.run for one in figures})} runs; Spearman's correlation with the mean retention over blocks:")
    for one in correlations:
        if one.block == MEAN and one.kind == "both":
            values = {key: None if value != value else value for key, value in vars(one.spearman).items()}
            print(f"  {title_of(one.score):<26}{format_interval(values, unit='')}")
    print(
        f"note: {len(correlations)} correlations were computed; of as many between unrelated figures, about "
        f"{len(correlations) * (1 - confidence / 100):.0f} would have an interval without 0"
    )
    print(output / "correlations.csv")
