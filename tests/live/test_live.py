"""Sound while it is recorded gives what the recording gives; pipes, microphones, files that grow, and overruns."""

import csv
import io
import json
import os
import signal
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from lung_srad_plugin import LungSoundClassifier, read_annotations
from lung_srad_plugin.audio.quality import MIN_SAMPLE_RATE
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.cli import listen as command
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.live import microphone as microphone_module
from lung_srad_plugin.live import session as session_module
from lung_srad_plugin.live.growing_file import GrowingFile
from lung_srad_plugin.live.interrupt import Interrupt
from lung_srad_plugin.live.pipe import ENCODINGS, PipeFormat, open_pipe
from lung_srad_plugin.live.session import LiveSession
from lung_srad_plugin.live.sound_so_far import SoundSoFar


def make_sound(seconds, rate, seed=0, channels=1):
    """Noise whose loudness and colour change, so that windows differ."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 0.1, (round(seconds * rate), channels))
    time = np.arange(len(sound))[:, None] / rate
    sound = sound * (0.3 + np.abs(np.sin(time))) + 0.1 * np.sin(2 * np.pi * (200 + 20 * time) * time)
    return sound.astype(np.float32)


def feed(target, sound, seed=1):
    """Add sound in blocks of all sizes."""
    rng, done = np.random.default_rng(seed), 0
    while done < len(sound):
        count = int(rng.integers(1, 6000))
        target.add(sound[done : done + count])
        done += count


@pytest.mark.parametrize(("rate", "channels"), [(4000, 1), (16000, 1), (44100, 2), (11025, 1)])
def test_growing_sound_is_what_the_recording_is_read_as(rate, channels):
    sound = make_sound(3.37, rate, channels=channels)
    content = io.BytesIO()
    soundfile.write(content, sound, rate, format="WAV", subtype="FLOAT")
    for level in ("recorded", "int16", "rms"):
        stream = RecordingStream(content.getvalue(), 16000, level)
        expected = torch.cat(list(stream.blocks()))
        live = SoundSoFar("bed 3", rate, channels, 16000, level)
        feed(live, sound)
        live.finish()
        assert (live.samples, live.duration) == (stream.samples, stream.duration)
        assert live.gain == pytest.approx(stream.gain, rel=1e-6)
        torch.testing.assert_close(live.part(0, live.samples), expected, atol=1e-5 * stream.gain, rtol=1e-5)
        assert live.flaws() == stream.flaws()


@pytest.fixture(scope="module")
def starter():
    return LungSoundClassifier.from_hparams()


def listen_to(classifier, sound, rate, **options):
    live = SoundSoFar(
        "bed", rate, sound.shape[1], classifier.sample_rate, classifier.mods.compute_features.level, **options
    )
    session = LiveSession(classifier, live, classifier.select_rule())
    return session


def assert_same(result, expected):
    assert [(s.start, s.end, s.label) for s in result.segments] == [
        (s.start, s.end, s.label) for s in expected.segments
    ]
    for one, other in zip((*result.segments, result.summary), (*expected.segments, expected.summary), strict=True):
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=2e-4)
        assert (one.uncertain, one.unlike_training) == (other.uncertain, other.unlike_training)
    assert (result.flaws, result.duration, result.windows) == (expected.flaws, expected.duration, expected.windows)
    assert [event.finding for event in result.events] == [event.finding for event in expected.events]


@pytest.mark.parametrize("seconds", [0.3, 8.0, 12.0, 21.3])
def test_answers_are_those_of_classify(classifier, seconds):
    sound = make_sound(seconds, 4000)
    expected = classifier.classify_file(sound, sample_rate=4000, name="bed")
    session = listen_to(classifier, sound, 4000)
    feed(session, sound)
    session.finish()
    assert_same(session.result(), expected)


def test_answers_of_the_starter_are_those_of_classify_at_the_gain_of_the_recording(starter):
    sound = 0.2 * make_sound(7.6, 8000)
    sound[30000:40000] = 0  # a second of silence, which has no answer
    expected = starter.classify_file(sound, sample_rate=8000, name="bed")
    content = io.BytesIO()
    soundfile.write(content, sound, 8000, format="WAV", subtype="FLOAT")
    gain = RecordingStream(content.getvalue(), starter.sample_rate, "rms").gain
    session = listen_to(starter, sound, 8000, gain=gain)
    found = []
    for begin in range(0, len(sound), 800):
        session.add(sound[begin : begin + 800])
        found += session.final_segments()
    session.finish()
    found += session.final_segments()
    result = session.result()
    assert_same(result, expected)
    # What was reported on the way is what the result says in the end.
    assert [(s.start, s.end, s.probabilities) for s in found] == [
        (s.start, s.end, s.probabilities) for s in result.segments
    ]
    # Without a given gain, that of the sound so far has become that of the recording in the end.
    own = listen_to(starter, sound, 8000)
    feed(own, sound)
    own.finish()
    assert own.sound.gain == pytest.approx(gain, rel=1e-6)
    last = own._answers[-1].log_probs
    torch.testing.assert_close(last, session._answers[-1].log_probs, atol=1e-3, rtol=1e-3)


def test_what_windows_no_longer_need_is_forgotten(classifier):
    sound = make_sound(60, 4000)
    session = listen_to(classifier, sound, 4000)
    for begin in range(0, len(sound), 4000):
        session.add(sound[begin : begin + 4000])
        assert len(session.sound._ready) <= 16000 * (8 + 4 + 1)
    assert all(answer.embeddings.numel() == 0 for answer in session._answers)


def test_latency_is_measured_and_slow_steps_are_counted(classifier, monkeypatch):
    ticks = iter(np.arange(0, 1000, 5.0))  # every window takes 5 s
    monkeypatch.setattr(session_module.time, "perf_counter", lambda: float(next(ticks)))
    session = listen_to(classifier, make_sound(13, 4000), 4000)
    for _ in range(13):
        session.add(make_sound(1, 4000))
    latency = session.latency()
    assert (latency.windows, latency.overruns, latency.mean, latency.longest) == (2, 2, 5.0, 5.0)
    assert latency.first_answer == 4 + 1 / 16 + 0.1 + 5 and latency.final_answer == 8 + latency.first_answer


# ---- pipes ----


def wav_header(kind, bits, rate, channels, extra=b"", data=0xFFFFFFFF):
    frame = bits // 8 * channels
    content = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits) + extra
    head = b"RIFF\xff\xff\xff\xffWAVE" + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    return head + b"fmt " + struct.pack("<I", len(content)) + content + b"data" + struct.pack("<I", data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_samples_of_pipes(encoding):
    wanted = np.array([[0.5, -0.5], [0.25, 0.0], [-1.0, 0.75]], dtype=np.float32)
    kind, scale, zero = ENCODINGS[encoding]
    content = (wanted * scale + zero).astype(kind).tobytes()
    raw = PipeFormat(8000, 2, encoding)
    format, blocks = open_pipe(io.BytesIO(content + b"\0"), raw, "pipe")  # the last byte is no whole sample
    assert format == raw
    np.testing.assert_array_equal(np.concatenate(list(blocks)), wanted)
    bits, tag = 8 * np.dtype(kind).itemsize, 3 if encoding == "f32le" else 1
    for length in (0, 0xFFFFFFFF):  # as programs write it that cannot know
        header = wav_header(tag, bits, 8000, 2, data=length)
        format, blocks = open_pipe(io.BytesIO(header + content), None, "pipe")
        assert format == raw
        np.testing.assert_array_equal(np.concatenate(list(blocks)), wanted)
    extensible = wav_header(0xFFFE, bits, 8000, 2, struct.pack("<HHIH", 22, bits, 3, tag) + bytes(14))
    assert open_pipe(io.BytesIO(extensible), None, "pipe")[0] == raw


BAD_PIPES = {
    "empty": (b"", None, "is empty"),
    "raw without rate": (b"\0" * 100, None, "--rate"),
    "24 bits": (wav_header(1, 24, 8000, 1), None, "24 bits"),
    "avi": (b"RIFF\0\0\0\0AVI " + bytes(20), None, "no WAV"),
    "short": (wav_header(1, 16, 8000, 1)[:30], None, "breaks off"),
    "other rate": (wav_header(1, 16, 8000, 1), PipeFormat(4000), "8000 Hz"),
}


@pytest.mark.parametrize("kind", BAD_PIPES)
def test_bad_pipes_are_refused(kind):
    content, raw, message = BAD_PIPES[kind]
    with pytest.raises(LungSRADError, match=message):
        open_pipe(io.BytesIO(content), raw, "pipe")


def test_the_command_offers_the_encodings_of_pipes():
    assert tuple(ENCODINGS) == command.ENCODINGS and command.MIN_SAMPLE_RATE == MIN_SAMPLE_RATE


# ---- the command ----


class Pipe(io.BytesIO):
    """What ends with an exception after so many bytes."""

    def __init__(self, content, end=None):
        super().__init__(content)
        self.end = end

    def read(self, size=-1):
        content = super().read(size)
        if not content and self.end is not None:
            self.end()
        return content


@pytest.fixture
def run(capsys, monkeypatch, model_folder):
    def call(pipe, *arguments):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        with pytest.raises(SystemExit) as ended:
            cli.main(["listen", *map(os.fspath, map(str, arguments)), "-m", str(model_folder)])
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call


def wav_of(sound, rate=4000):
    content = io.BytesIO()
    soundfile.write(content, sound, rate, format="WAV", subtype="PCM_16")
    return content.getvalue()


def streamed(content, length=0xFFFFFFFF):
    """The WAV of a program that does not know its length."""
    return content[:40] + struct.pack("<I", length) + content[44:]


def test_a_pipe_gives_the_file_that_classify_gives(run, classifier, tmp_path):
    content = wav_of(make_sound(21, 4000))
    expected = classifier.classify_file(content, name="pipe")
    code, out, err = run(Pipe(content), "-", "--output", tmp_path / "bed.csv")
    assert code == 0 and "latency: A window of 8 s every 4 s" in err
    with (tmp_path / "bed.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["start"]), float(row["end"]), row["label"]) for row in rows] == [
        (segment.start, segment.end, segment.label) for segment in expected.segments
    ]
    for row, segment in zip(rows, expected.segments, strict=True):
        assert float(row["p_wheeze"]) == pytest.approx(segment.probabilities["wheeze"], abs=2e-4)
    lines = [line for line in out.splitlines() if " s: " in line]
    assert len(lines) == len(rows) and lines[0].startswith("0.00 to 4.00 s: ")
    assert {path.name for path in tmp_path.iterdir()} == {"bed.csv", ".lung-srad-files"}
    code, _, _ = run(Pipe(content), "-", "--output", tmp_path / "bed.csv")  # over its own
    assert code == 0


@pytest.mark.parametrize("length", [None, 0, 0x7FFFFFF0, 0xFFFFFFFF])
def test_what_stands_behind_the_samples_of_a_wav_is_no_sound(length):
    content = wav_of(make_sound(1.05, 4000))
    text = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + bytes(18)
    content = content + text if length is None else streamed(content, length)
    _, blocks = open_pipe(Pipe(content), None, "pipe")
    assert sum(len(block) for block in blocks) == 4200


def test_raw_samples_and_an_end_after_seconds(run, tmp_path):
    content = (make_sound(30, 4000) * 32767).astype("<i2").tobytes()
    arguments = ["-", "--rate", "4000", "--seconds", "13", "--output"]
    for name, read in (("a.json", None), ("a.TextGrid", True), ("a.txt", True), ("a.selections.txt", True)):
        code, _, _ = run(Pipe(content), *arguments, tmp_path / name)
        assert code == 0
        if read:
            assert read_annotations(tmp_path / name)[-1].end_s == 13.0
    assert json.loads((tmp_path / "a.json").read_text())["duration"] == 13.0


def press(*_):
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_with_the_summary(run, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    code, out, err = run(Pipe(streamed(wav_of(make_sound(13, 4000))), press), "-", "--output", tmp_path / "a.json")
    assert code == 0 and "13.0 s" in out and "latency:" in err
    assert json.loads((tmp_path / "a.json").read_text())["duration"] == 13.0
    assert signal.getsignal(signal.SIGINT) == before


def test_ctrl_c_while_computing_waits_for_the_computation():
    with Interrupt() as interrupt:
        press()
        assert interrupt.pressed
        with pytest.raises(KeyboardInterrupt):
            press()


def test_what_was_heard_stays_when_the_program_breaks(run, tmp_path):
    def fail():
        raise RuntimeError("power is gone")

    monkey = Pipe(streamed(wav_of(make_sound(30, 4000))), fail)
    with pytest.raises(RuntimeError):
        run(monkey, "-", "--output", tmp_path / "a.json")
    with (tmp_path / "a.json.part.csv").open(newline="") as file:
        ends = [float(row["end"]) for row in csv.DictReader(file)]
    assert ends == [4.0, 8.0, 12.0, 16.0, 20.0] and not (tmp_path / "a.json").exists()
    code, _, err = run(Pipe(wav_of(make_sound(9, 4000))), "-", "--output", tmp_path / "a.json")
    assert code == 2 and "a.json.part.csv" in err.replace("\n", "")


def test_overruns_are_reported(run, monkeypatch):
    ticks = iter(np.arange(0, 1000, 5.0))
    monkeypatch.setattr(session_module, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    code, _, err = run(Pipe(wav_of(make_sound(17, 4000))), "-")
    assert code == 0
    assert "the model is slower than the sound in 4 of 4 steps; --hop above 5.00" in err


@pytest.mark.parametrize(
    ("sound", "arguments", "code", "message"),
    [
        (np.zeros((40000, 1)), ["-"], 1, "silence from beginning to end"),
        (np.ones((100, 1)) * 0.1, ["-"], 1, "hold no window"),
        (make_sound(1, 4000), ["a.wav"], 2, "files: classify"),
        (make_sound(1, 4000), ["-", "--seconds", "0"], 2, "seconds=0"),
        (make_sound(1, 4000), ["-", "--seconds", "inf"], 2, "seconds=inf"),
        (make_sound(1, 4000), ["-", "--gain", "-1"], 2, "gain=-1"),
        (make_sound(1, 4000), ["-", "--output", "a.xyz"], 2, "the ending says no format"),
        (make_sound(1, 4000), ["-", "--hop", "99"], 2, "hop=99"),
        (make_sound(1, 4000), ["-", "--channels", "2"], 2, "a WAV says its own"),
        (make_sound(1, 4000), ["-", "--device", "1"], 2, "of a microphone"),
        (make_sound(1, 4000), ["--encoding", "u8"], 2, "--encoding: of raw samples in a pipe"),
    ],
)
def test_misuse_and_sound_without_an_answer(run, monkeypatch, tmp_path, sound, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = run(Pipe(wav_of(sound)), *arguments)
    assert found == code and message in err
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(LungSRADError, match=r"a\.csv"):
        GrowingFile(tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


# ---- microphones ----


class FakeStream:
    """Gives sound at once when it is started, reports twice that some was lost, and ends with the sound."""

    sound = make_sound(13, 4000)
    active = False

    def __init__(self, samplerate, device, channels, dtype, callback, blocksize):
        assert (channels, dtype, samplerate, device) == (1, "float32", 4000, 1)
        self.callback, self.size = callback, blocksize

    def start(self):
        for index, begin in enumerate(range(0, len(self.sound), self.size)):
            status = SimpleNamespace(input_overflow=index < 2)
            self.callback(self.sound[begin : begin + self.size], self.size, None, status)

    def stop(self):
        self.stopped = True

    def close(self):
        assert self.stopped


DEVICES = [
    {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48000.0},
    {"name": "Stethoscope", "max_input_channels": 1, "default_samplerate": 4000.0},
]


def query_devices(index=None, kind=None):
    if kind is None:
        return DEVICES
    if index is None:
        return {"index": 1}
    if index not in (1, "Stetho"):
        raise ValueError(f"No input device matching {index!r}")
    return DEVICES[1]


@pytest.fixture
def sounddevice(monkeypatch):
    module = SimpleNamespace(InputStream=FakeStream, query_devices=query_devices, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", module)


def test_a_microphone_is_listened_to_and_lost_sound_is_reported(run, sounddevice):
    code, out, err = run(None, "--device", "1", "--seconds", "12.5")
    assert code == 0 and "Stethoscope" in out and "12.5 s, 4000 Hz" in out
    assert "the sound card lost sound 2 times" in err
    code, out, _ = run(None, "--list-devices")
    assert out.splitlines() == ["1: Stethoscope, 1 channels, 4000 Hz, the system's own"]
    code, _, err = run(None, "--device", "Nothing")
    assert code == 2 and "--list-devices" in err
    code, _, err = run(None, "--device", "1", "--rate", "2000")
    assert code == 2 and "4000" in err


def test_a_machine_without_a_microphone_is_told_of_pipes(run, sounddevice, monkeypatch):
    monkeypatch.setitem(DEVICES[1], "max_input_channels", 0)
    code, _, err = run(None, "--device", "Nothing")
    assert code == 2 and "no microphone was found; plug one in, or pipe" in err
    assert run(None, "--list-devices")[1] == "no microphone was found\n"


def test_what_a_microphone_heard_until_it_was_unplugged_is_answered(run, sounddevice, monkeypatch, tmp_path):
    monkeypatch.setattr(microphone_module, "POLL", 0.01)
    code, out, err = run(None, "--device", "1", "--output", tmp_path / "a.json")
    assert code == 1 and "Stethoscope: no sound comes any more; is it unplugged?" in err
    assert "13.0 s" in out and json.loads((tmp_path / "a.json").read_text())["duration"] == 13.0


def test_sound_that_a_busy_machine_lost_without_a_word_is_reported(run, sounddevice, monkeypatch):
    ticks = iter(np.arange(0, 1000, 0.12))  # 0.1 s of sound come every 0.12 s
    monkeypatch.setattr(microphone_module, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    code, _, err = run(None, "--device", "1", "--seconds", "13")
    assert code == 0 and "2.6 s of sound were lost or are held back by the system" in err


def test_silence_is_remarked_upon_while_it_lasts(run):
    sound = np.concatenate([make_sound(12, 4000), np.zeros((4 * 4000, 1), "float32")])
    code, _, err = run(Pipe(wav_of(sound)), "-")
    assert code == 0 and err.startswith("note: no sound since 12.0 s, only silence or a constant\n")


def test_without_sounddevice_or_portaudio_the_cure_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = run(None)
    assert code == 2 and "lung-srad[listen]" in err


def test_the_display_shows_a_letter_for_each_second(classifier):
    from rich.console import Console

    from lung_srad_plugin.live.display import draw_timeline

    sound = make_sound(13, 4000)
    session = listen_to(classifier, sound, 4000)
    feed(session, sound)
    console = Console(file=io.StringIO(), width=100)
    console.print(draw_timeline(session, "2 s of sound wait"))
    shown = console.file.getvalue()
    strip = "".join(_letter_of(session, second) for second in range(13))
    assert strip in shown and "2 s of sound wait" in shown and "first answer" in shown


def _letter_of(session, second):
    for segment in session.result().segments:
        if segment.start <= second + 0.5 < segment.end:
            return segment.label[0] if segment.label == "normal" else segment.label[0].upper()
    return "·"
