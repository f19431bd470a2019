"""``lung-srad check-timeline``: timelines of whole recordings against their annotation."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.audio.merging import MERGING
from lung_srad_plugin.cli.options import TrustCode, choice


def check_timeline(
    model: Annotated[str, typer.Argument(help="A model folder, or starter: the model that comes with lung-srad.")],
    manifest: Annotated[
        Path,
        typer.Argument(help="The annotated cycles or events as CSV; rows of one wav annotate one recording."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("timeline"),
    data_root: Annotated[Path | None, typer.Option(help="What {data_root} in the manifest stands for.")] = None,
    labels_map: Annotated[
        Path | None, typer.Option(help="JSON: the manifest's labels to the model's, null for rows to leave out.")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with this in the column dataset. May be repeated; leave out whole recordings."),
    ] = None,
    choose: Annotated[
        bool,
        typer.Option(
            "--choose",
            help="Try windows, hops, mergings and thresholds on these recordings, which must be validation recordings, "
            "and write the best for lung-srad export --timeline.",
        ),
    ] = False,
    window: Annotated[
        list[float] | None, typer.Option(help="Seconds of a window. May be repeated; the model's own if left out.")
    ] = None,
    hop: Annotated[
        list[float] | None, typer.Option(help="Seconds from one window to the next. May be repeated.")
    ] = None,
    merging: Annotated[
        list[str] | None, choice(MERGING, "What overlapping windows give together. May be repeated.")
    ] = None,
    frame: Annotated[float, typer.Option(help="Seconds from one frame to the next, for the numbers by time.")] = 0.1,
    pictures: Annotated[int, typer.Option(min=0, help="Recordings in the picture.")] = 6,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of patients for the intervals.")] = 1000,
    confidence: Annotated[float, typer.Option(help="Of the intervals, in percent.")] = 95.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that go through the model at once.")] = 16,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Compare a model's timelines of whole recordings with their annotation: timeline.json, .csv and .png.

    By time: AUROC, sensitivity and specificity of frames. By event: precision, recall and F1 by overlap. Only annotated
    time counts.
    """
    from lung_srad_plugin.evaluation.timeline import command
    from lung_srad_plugin.evaluation.timeline.console import print_timelines
    from lung_srad_plugin.metrics.bootstrap import Bootstrap

    options = command.TimelineOptions(
        data_root=data_root,
        labels_map=labels_map,
        data_sets=tuple(dataset or ()),
        choose=choose,
        windows=tuple(window or ()),
        hops=tuple(hop or ()),
        mergings=tuple(merging or ()),
        frame=frame,
        pictures=pictures,
        bootstrap=Bootstrap(resamples, confidence, seed),
        batch_size=batch_size,
        device=device,
        trust_code=trust_code,
    )
    print_timelines(command.check_timeline(model, manifest, output, options), output)
