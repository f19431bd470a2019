"""``lung-srad listen``: a rolling timeline of a microphone or a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lung_srad_plugin.audio.merging import MERGING
from lung_srad_plugin.cli.exit_codes import FAILED
from lung_srad_plugin.cli.options import TrustCode, choice
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable, printable_lines

if TYPE_CHECKING:
    import numpy as np

    from lung_srad_plugin.live.growing_file import GrowingFile
    from lung_srad_plugin.live.session import LiveSession

ENCODINGS = ("u8", "s16le", "s32le", "f32le")  # as live.pipe has them; a test compares
MIN_SAMPLE_RATE = 4000  # as audio.quality has it
PIPE = "-"
SILENCE = 2.0  # seconds of it that are reported


def listen(
    source: Annotated[str, typer.Argument(help="- for a pipe; the microphone if left out.")] = "",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", envvar="LUNG_SRAD_MODEL", help="A model folder, a hub id, or starter."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="The microphone: its number or part of its name.")] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Print the microphones and end.")] = False,
    rate: Annotated[
        int | None,
        typer.Option(
            min=MIN_SAMPLE_RATE, help="Samples a second: of raw samples in a pipe, or wanted of a microphone."
        ),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, max=64, help="Of raw samples in a pipe; 1 if left out.")
    ] = None,
    encoding: Annotated[str | None, choice(ENCODINGS, "Of raw samples in a pipe; s16le if left out.")] = None,
    seconds: Annotated[float | None, typer.Option(help="End after so much sound; else at its end or Ctrl-C.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="File for the result: .csv, .json, .txt (Audacity), .selections.txt, .TextGrid.")
    ] = None,
    window: Annotated[float | None, typer.Option(help="Seconds of a window; the model's own if left out.")] = None,
    hop: Annotated[float | None, typer.Option(help="Seconds from one window to the next.")] = None,
    merging: Annotated[str | None, choice(MERGING, "What overlapping windows give together.")] = None,
    gain: Annotated[
        float | None,
        typer.Option(help="What samples are multiplied by, for models that bring recordings to one level."),
    ] = None,
    calibrated: Annotated[bool, typer.Option("--calibrated", help="Apply the fitted temperature.")] = False,
    compute_on: Annotated[str | None, typer.Option(help="cpu, cuda, ...; the best there is if left out.")] = None,
    trust_code: TrustCode = False,
):
    """Classify sound while it is recorded: a rolling timeline, and the summary at the end or after Ctrl-C.

    lung-srad listen --seconds 60

    arecord -f S16_LE -r 4000 | lung-srad listen - --output bed3.csv
    """
    from lung_srad_plugin.live.growing_file import GrowingFile
    from lung_srad_plugin.live.microphone import list_devices as describe_devices

    if list_devices:
        print("\n".join(map(printable, describe_devices())) or "no microphone was found")
        return
    if source not in ("", PIPE):
        raise LungSRADError(
            f"{printable(source)}: expected - for a pipe, or nothing for the microphone; files: classify"
        )
    _refuse_unused(source, device, rate, channels, encoding)
    if seconds is not None and not 0 < seconds < float("inf"):
        raise LungSRADError(f"seconds={seconds!r}; expected a number above 0")
    if gain is not None and not 0 < gain < float("inf"):
        raise LungSRADError(f"gain={gain!r}; expected a number above 0")
    with contextlib.ExitStack() as stack:
        sound = (
            _open_pipe(rate, channels or 1, encoding or "s16le")
            if source == PIPE
            else _open_microphone(stack, device, rate)
        )
        name, native_rate, native_channels, blocks, microphone = sound
        session = _make_session(
            (model, compute_on, trust_code),
            (window, hop, merging, calibrated),
            (name, native_rate, native_channels),
            gain,
        )
        file = None if output is None else GrowingFile(output.expanduser())
        try:
            failure = _listen(session, blocks, microphone, seconds, file)
            raise typer.Exit(_end(session, microphone, file, failure))
        finally:
            if file is not None:
                file.close()


def _refuse_unused(source, device, rate, channels, encoding):
    """Refuse options that would do nothing."""
    raw = {"--channels": channels, "--encoding": encoding}
    if source != PIPE:
        unused, cure = raw, "of raw samples in a pipe (lung-srad listen - --rate 4000), and this is a microphone"
    elif rate is None:
        unused, cure = raw, "of raw samples, which need --rate; a WAV says its own"
    else:
        unused, cure = {}, ""
    if source == PIPE and device is not None:
        unused, cure = {"--device": device}, "of a microphone, and this is a pipe"
    if given := [name for name, value in unused.items() if value is not None]:
        raise LungSRADError(f"{', '.join(given)}: {cure}; leave it out")


def _open_pipe(rate, channels, encoding):
    from lung_srad_plugin.live.pipe import PipeFormat, open_pipe

    raw = None if rate is None else PipeFormat(rate, channels, encoding)
    format, blocks = open_pipe(sys.stdin.buffer, raw, "pipe")
    return "pipe", format.rate, format.channels, blocks, None


def _open_microphone(stack, device, rate):
    from lung_srad_plugin.live.microphone import Microphone

    microphone = Microphone(device, rate)

    def blocks() -> Iterator[np.ndarray]:
        # It records from here on: while the model is loaded nobody would listen.
        stack.enter_context(microphone)
        yield from microphone.blocks()

    return microphone.name, microphone.rate, 1, blocks(), microphone


def _make_session(model, windows, sound, gain):
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.thresholds import select_temperature
    from lung_srad_plugin.live.session import LiveSession
    from lung_srad_plugin.live.sound_so_far import SoundSoFar

    source, compute_on, trust_code = model
    window, hop, merging, calibrated = windows
    run_opts = None if compute_on is None else {"device": compute_on}
    classifier = LungSoundClassifier.from_hparams(source=source, run_opts=run_opts, trust_code=trust_code)
    rule = classifier.select_rule(window, hop, merging, calibrated)
    temperature = select_temperature(classifier.calibration, calibrated, classifier.model_id)
    level = classifier.mods.compute_features.level
    session = LiveSession(classifier, SoundSoFar(*sound, classifier.sample_rate, level, gain), rule, temperature)
    session.warm_up()
    return session


def _listen(
    session: LiveSession, blocks: Any, microphone: Any, seconds: float | None, file: GrowingFile | None
) -> LungSRADError | None:
    """Take blocks until the end, ``seconds`` or Ctrl-C, show the timeline, and write segments as they become final.

    Returns why the sound ended, where it ended by itself and should not have.
    """
    from rich.console import Console
    from rich.live import Live

    from lung_srad_plugin.live.display import draw_timeline
    from lung_srad_plugin.live.interrupt import Interrupt

    console = Console(stderr=True)
    limit = None if seconds is None else round(seconds * session.sound.native_rate)
    taken, failure, was_silent = 0, None, False
    with contextlib.ExitStack() as stack:
        live = None
        if console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
        interrupt = stack.enter_context(Interrupt())
        while not interrupt.pressed:
            try:
                block = interrupt.wait_for(blocks)
            except LungSRADError as error:  # the microphone is gone; the sound recorded so far is still classified
                failure = error
                break
            if block is None:
                break
            block = block if limit is None else block[: limit - taken]
            taken += len(block)
            final = session.final_segments() if session.add(block) else []
            if file is not None:
                file.add(final)
            if live is not None:
                live.update(draw_timeline(session, _note(session, microphone)), refresh=True)
            else:
                _print_lines(final)
                silent = session.sound.silent_seconds >= SILENCE
                if silent and not was_silent:
                    print(f"note: {_note(session, microphone)}", file=sys.stderr, flush=True)
                was_silent = silent
            if limit is not None and taken >= limit:
                break
        session.finish()
        final = session.final_segments()
        if file is not None:
            file.add(final)
        if live is None:
            _print_lines(final)
    return failure


def _print_lines(segments):
    from lung_srad_plugin.live.display import describe_segment_line

    for segment in segments:
        print(printable(describe_segment_line(segment)), flush=True)


def _note(session, microphone):
    """What a reader must know of silence, lost time or lost sound; blank where there is nothing."""
    latency, notes = session.latency(), []
    if (seconds := session.sound.silent_seconds) >= SILENCE:
        notes.append(f"no sound since {session.sound.duration - seconds:.1f} s, only silence or a constant")
    if latency.overruns:
        notes.append(f"the model is slower than the sound in {latency.overruns} of {latency.windows} steps")
    if microphone is not None and microphone.waiting > latency.hop + 1:
        notes.append(f"{microphone.waiting:.1f} s of sound wait for the model")
    if microphone is not None and microphone.lost:
        notes.append(f"the sound card lost sound {microphone.lost} times")
    if microphone is not None and microphone.missing:
        notes.append(
            f"{microphone.missing:.1f} s of sound were lost or are held back by the system: later times are too early"
        )
    return "; ".join(notes)


def _end(session, microphone, file, failure):
    """Print the summary, and why the sound ended; return the exit code."""
    from lung_srad_plugin.cli.result_output import print_table
    from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC

    note = _note(session, microphone)
    if failure is not None:
        print(f"error: {printable_lines(failure)}", file=sys.stderr)
    try:
        result = session.result()
    except LungSRADError as error:
        print(f"error: {printable_lines(error)}", file=sys.stderr)
        return FAILED
    print_table(result, sys.stdout)
    if file is not None:
        file.finish(result)
    latency = session.latency()
    print(f"latency: {latency.describe()}", file=sys.stderr)
    if result.trained_on_synthetic:
        print(f"note: {TRAINED_ON_SYNTHETIC}", file=sys.stderr)
    if note:
        cure = f"; --hop above {latency.longest:.2f} gives it time" if latency.overruns else ""
        print(f"note: {note}{cure}", file=sys.stderr)
    return 0 if failure is None else FAILED
