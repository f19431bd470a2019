"""The picture and the sound of a recording, as the page shows and plays them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.inference.figure import RATE, WIDTH, plot_timeline
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
    """Write a recording so that every browser plays it: one channel, 16 kHz, 16 bits.

    Arguments
    ---------
    path : Path
        The recording, in whatever format.
    copy : Path
        A WAV file.
    """
    with soundfile.SoundFile(copy, "w", RATE, 1, "PCM_16", format="WAV") as file:
        for block in RecordingStream(audio_source(path), RATE).blocks():
            file.write(block.numpy())
