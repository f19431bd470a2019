"""``lung-srad segments``: which recordings or results, which of their segments, and where the clips go."""

from pathlib import Path
from typing import Annotated

import typer

from lung_srad_plugin.cli.options import TrustCode, choice

# As review.selection.ORDERS and audio.clips.FORMATS, whose imports take a while; a test compares them.
ORDERS = ("least_confident", "most_confident", "most_uncertain", "most_unlike", "random", "time")
FORMATS = ("wav", "flac")
EVENTS = ("crackle", "wheeze", "abnormal")


def segments(
    source: Annotated[
        str,
        typer.Argument(
            help="A recording, a folder of recordings, or a pattern such as 'a/*.wav'; a manifest (.csv), whose cycles "
            "are classified; or results that classify wrote (.json, .jsonl, .csv, .parquet, a folder of them), which "
            "need no model."
        ),
    ],
    destination: Annotated[Path, typer.Argument(help="Folder for clips/ and segments.csv; without segments so far.")],
    model: Annotated[
        str | None,
        typer.Argument(
            envvar="LUNG_SRAD_MODEL",
            help="A model folder, a hub id, or starter, which is used where none is named.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only segments of this predicted class. May be repeated.")
    ] = None,
    event: Annotated[
        list[str] | None,
        choice(EVENTS, "Only stretches in which classify calls this, by the model's thresholds. May be repeated."),
    ] = None,
    uncertain: Annotated[bool, typer.Option("--uncertain", help="Only segments that are marked as uncertain.")] = False,
    unlike_training: Annotated[
        bool, typer.Option("--unlike-training", help="Only segments that are marked as unlike the training sounds.")
    ] = False,
    wrong: Annotated[
        bool, typer.Option("--wrong", help="Only cycles of a manifest whose predicted class is not their label.")
    ] = False,
    order: Annotated[
        str, choice(ORDERS, "Which come first: by confidence, entropy of the probabilities, likeness, chance or time.")
    ] = ORDERS[0],
    balanced: Annotated[bool, typer.Option("--balanced", help="Take the predicted classes in turn.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Segments at most.")] = 100,
    per_recording: Annotated[int | None, typer.Option(min=1, help="Segments of one recording at most.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --order random.")] = 0,
    context: Annotated[
        float, typer.Option(min=0, help="Seconds before and after a segment that its clip has too.")
    ] = 0.5,
    merge: Annotated[
        bool, typer.Option("--merge/--no-merge", help="Make one segment of neighbouring windows of one class.")
    ] = True,
    longest: Annotated[float, typer.Option(min=0.2, help="Seconds that a merged segment lasts at most.")] = 8.0,
    format: Annotated[str, choice(FORMATS, "Of the clips.")] = FORMATS[0],
    annotations: Annotated[
        bool,
        typer.Option("--annotations", help="Take the cycles of the annotation beside each recording, in any format."),
    ] = False,
    data_root: Annotated[
        Path | None,
        typer.Option(help="What {data_root} in a manifest stands for; where the recordings of results are."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that go through the model at once.")] = 2,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Cut out what is worth listening to: the segments that a model is least sure of, or others, for a review.

    lung-srad segments RECORDINGS clips --limit 50

    lung-srad segments RECORDINGS clips starter --balanced --per-recording 3

    lung-srad segments RESULTS clips --label wheeze --order most-confident
    """
    from lung_srad_plugin.cli.segment_files import SegmentOptions, cut_segments
    from lung_srad_plugin.review.selection import SegmentSelection

    selection = SegmentSelection(
        labels=tuple(label or ()),
        uncertain=uncertain,
        unlike_training=unlike_training,
        wrong=wrong,
        order=order,
        balanced=balanced,
        limit=limit,
        per_recording=per_recording,
        seed=seed,
    )
    options = SegmentOptions(
        context=context,
        longest=longest if merge else None,
        format=format,
        annotations=annotations,
        data_root=data_root,
        events=tuple(event or ()),
        batch_size=batch_size,
        device=device,
    )
    raise typer.Exit(cut_segments(source, destination.expanduser(), model, selection, options, trust_code))
