"""The picture and the sound of a recording, as the page shows and plays them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.audio.clips import HEARD_RATE, loud_flac
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.inference.figure import WIDTH, plot_timeline
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.reporting.map_figure import RecordingMap

PHONE_PIXELS = 700  # a browser's window below this width gets the narrow picture
PHONE_WIDTH = 5.0  # inches, in which letters have a size that can be read there


@dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Arguments
    ---------
    address : str
        The picture itself as the address of an image.
    left, right : float
        Where time begins and ends in it, in shares of its width.
    explained : str
        What its map explains and how; blank where it has none.
    """

    address: str
    left: float
    right: float
    explained: str = ""


def draw_picture(
    result: Classification,
    path: Path,
    name: str,
    pixels: int,
    annotated: Sequence[AnnotatedEvent] = (),
    explanation: RecordingMap | None = None,
) -> Picture:
    """Return the picture of a recording.

    Arguments
    ---------
    result : Classification
    path : Path
        The recording.
    name : str
        What the picture calls it.
    pixels : int
        Width of the browser's window.
    annotated : sequence of AnnotatedEvent
    explanation : RecordingMap, optional
    """
    width = PHONE_WIDTH if pixels < PHONE_PIXELS else WIDTH
    figure = plot_timeline(result, audio_source(path, name=name), explanation, annotated, width)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=190 if width < WIDTH else 140)
    time_axis = figure.axes[0].get_position()  # of the layout that was just drawn; all share the axis of time
    address = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
    explained = "" if explanation is None else f"{explanation.title} of {explanation.target}"
    return Picture(address, float(time_axis.x0), float(time_axis.x1), explained)


def write_sound(path: Path, copy: Path) -> None:
    """Write a recording so that every browser plays it: one channel, ``HEARD_RATE``, as loud as it can be.

    It is read in blocks: a recording of many samples a second is far larger than what is played of it.

    Arguments
    ---------
    path : Path
        The recording, in whatever format.
    copy : Path
        A FLAC file.
    """
    samples = torch.cat(list(RecordingStream(audio_source(path), HEARD_RATE).blocks()))
    copy.write_bytes(loud_flac(samples.numpy(), HEARD_RATE))
