"""What the page shows of recordings, as HTML."""

from collections.abc import Sequence
from typing import Any

from lung_srad_plugin.audio.quality import Flaw
from lung_srad_plugin.inference.joined_segments import join_segments
from lung_srad_plugin.inference.result import Classification, Segment
from lung_srad_plugin.reporting.pages import render
from lung_srad_plugin.serving.page_picture import Picture
from lung_srad_plugin.serving.page_recordings import PageRecording
from lung_srad_plugin.serving.page_truth import find_agreement, findings_of_result

UNLIKE = "unlike the training sounds"
UNCERTAIN = "uncertain"


def overview_html(recordings: Sequence[PageRecording], chosen: int | None) -> str:
    """Return the table of all files; blank where there are none.

    Arguments
    ---------
    recordings : sequence of PageRecording
    chosen : int or None
        Index of the one that is shown.
    """
    results = [one.result for one in recordings if one.result is not None]
    findings = findings_of_result(results[0]) if results else ("abnormal",)
    rows = []
    for index, one in enumerate(recordings):
        row = {"name": one.name, "chosen": index == chosen, "problem": one.problem, "label": None}
        if one.result is not None:
            row |= _result_row(one, findings)
        elif one.problem is None:
            row["state"] = "waits" if one.share is None else f"is being classified: {one.share:.0%} done"
        rows.append(row)
    return render("serve_overview.html.jinja", {"rows": rows, "findings": findings})


def heading_html(recording: PageRecording, uncertain_below: float) -> str:
    """Return what stands above the sound of a recording that has a result.

    Arguments
    ---------
    recording : PageRecording
    uncertain_below : float
        Confidence below which the model's answers are called uncertain.
    """
    result = _result(recording)
    summary = result.summary
    channels = "1 channel" if result.channels == 1 else f"mean of {result.channels} channels"
    context = {
        "name": recording.name,
        "label": summary.label,
        "unlike": bool(summary.unlike_training),
        "probabilities": [(name, f"{getattr(summary, name):.2f}") for name in findings_of_result(result)],
        "facts": f"{result.duration:.1f} s, {result.sample_rate:,} Hz, {channels}; the class and the probabilities are "
        "those of the whole recording, in which a short finding hardly shows",
        "flags": [
            *_describe_reliability(result, uncertain_below),
            *_describe_flaws(result.flaws),
        ],
    }
    return render("serve_heading.html.jinja", context)


def recording_html(recording: PageRecording, picture: Picture) -> str:
    """Return the picture, findings, segments and annotation of a recording that has a result."""
    result = _result(recording)
    names = findings_of_result(result)
    thresholds = {} if result.windows is None else result.windows.thresholds
    rows = [
        {
            "start": row.start,
            "end": row.end,
            "label": row.label,
            "unlike": bool(row.unlike_training),
            "probabilities": [f"{getattr(row, name):.2f}" for name in names],
            "remark": ", ".join(_marks(row)),
        }
        for row in join_segments(result)
    ]
    findings = [
        {
            "name": name,
            "threshold": f"{threshold:g}",
            "events": [event for event in result.events if event.finding == name],
        }
        for name, threshold in thresholds.items()
        if name in names
    ]
    context = {
        "name": recording.name,
        "duration": result.duration,
        "picture": picture,
        "findings": findings,
        "names": names,
        "segments": rows,
        "truth": recording.truth,
        "truth_problem": recording.truth_problem,
        "agreements": [] if recording.truth is None else find_agreement(result, recording.truth.events),
    }
    return render("serve_recording.html.jinja", context)


def flag_names(result: Classification) -> list[str]:
    """Return in a few words each what a reader must know of a result."""
    names = []
    if result.summary.unlike_training:
        names.append(UNLIKE)
    elif any(segment.unlike_training for segment in result.segments):
        names.append(f"in parts {UNLIKE}")
    if result.summary.uncertain and not result.summary.unlike_training:
        names.append(UNCERTAIN)
    return [*names, *sorted({flaw.kind for flaw in result.flaws})]


def _result(recording: PageRecording) -> Classification:
    assert recording.result is not None
    return recording.result


def _result_row(one: PageRecording, findings: Sequence[str]) -> dict[str, Any]:
    result = _result(one)
    return {
        "length": f"{result.duration:.1f} s",
        "label": result.summary.label,
        "unlike": bool(result.summary.unlike_training),
        "probabilities": [f"{getattr(result.summary, name):.2f}" for name in findings],
        "flags": flag_names(result),
        "agreement": _agreement_in_short(one),
    }


def _agreement_in_short(one: PageRecording) -> str:
    if one.truth_problem is not None:
        return "not readable"
    if one.truth is None:
        return ""
    counts = find_agreement(_result(one), one.truth.events)[0]
    right = counts.found + counts.others - counts.wrong
    return f"agrees in {right} of {counts.events + counts.others} events"


def _describe_reliability(result: Classification, below: float) -> list[dict[str, str]]:
    flags = []
    whole, parts = result.summary.unlike_training, [part for part in join_segments(result) if part.unlike_training]
    if whole or parts:
        extent = "At least half of the recording" if whole else "Part of the recording"
        flags.append(
            {
                "title": UNLIKE.capitalize(),
                "text": f"{extent} sounds unlike what the model was trained on, as noise, tones, speech and music do: "
                "its class means nothing there.",
            }
        )
    if result.summary.uncertain and not whole:
        kind = "calibrated" if result.confidence_calibrated else "uncalibrated"
        text = f"The {kind} probability of the class is {result.summary.confidence:.2f}, below {below:g}."
        flags.append({"title": UNCERTAIN.capitalize(), "text": text})
    return flags


def _describe_flaws(flaws: Sequence[Flaw]) -> list[dict[str, str]]:
    """Return what is wrong with the sound, one remark for each kind."""
    by_kind: dict[str, list[str]] = {}
    for flaw in flaws:
        by_kind.setdefault(flaw.kind, []).append(flaw.message)
    texts = {kind: "; ".join(messages) for kind, messages in by_kind.items()}
    return [{"title": kind.capitalize(), "text": f"{text[0].upper()}{text[1:]}."} for kind, text in texts.items()]


def _marks(segment: Segment) -> list[str]:
    return [name for name, is_so in ((UNLIKE, segment.unlike_training), (UNCERTAIN, segment.uncertain)) if is_so]
