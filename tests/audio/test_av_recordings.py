"""Recordings that PyAV decodes: length, level, offset and seeking against known sounds, damage, a missing extra."""

import io
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lung_srad_plugin import LungSoundClassifier
from lung_srad_plugin.audio.clips import cut_clip
from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.cli.input_files import find_recordings
from lung_srad_plugin.datasets.folder import audio_seconds
from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi
from lung_srad_plugin.errors import LungSRADError

av = pytest.importorskip("av", reason="PyAV encodes and decodes")
CLICKS = (0.5, 1.25, 2.9)


def encode(samples, rate, codec, container, bit_rate=96000):
    """Samples (n,) or (n, channels) as the bytes of a file."""
    samples = samples[:, None] if samples.ndim == 1 else samples
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T, dtype=np.float32), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    content = io.BytesIO()
    with av.open(content, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = layout
        if bit_rate:
            stream.bit_rate = bit_rate
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, stream.layout, rate, frame_size=context.frame_size or 1024)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return content.getvalue()


def pulse(rate):
    """A click that codecs for speech keep too: 2.5 ms of 1 kHz."""
    time = np.arange(-int(0.005 * rate), int(0.005 * rate) + 1) / rate
    return np.exp(-((time / 0.0012) ** 2)) * np.cos(2 * np.pi * 1000 * time)


def clicks(rate, seconds=3.5):
    """A quiet tone of 300 Hz, so that nothing is silent, with clicks."""
    time = np.arange(int(seconds * rate)) / rate
    sound, shape = 0.1 * np.sin(2 * np.pi * 300 * time), pulse(rate)
    for click in CLICKS:
        middle = round(click * rate)
        sound[middle - len(shape) // 2 : middle + len(shape) // 2 + 1] += 0.7 * shape
    return sound


def delays(samples, rate):
    """By how many samples each click is late."""
    shape, found = pulse(rate), []
    for click in CLICKS:
        middle, reach = round(click * rate), int(0.06 * rate)
        part = samples[middle - reach : middle + reach + 1]
        found.append(int(np.argmax(np.correlate(part, shape, "same"))) - reach)
    return found


SAMPLE = 1 / 44100  # a lossy codec may move a peak by one
# Codec, container, rate; seconds by which clicks may be off, by which the length may be, and the share of the level.
EXACT = {
    "m4a of 44.1 kHz": ("aac", "mp4", 44100, SAMPLE, 0, 0.03),
    "m4a of 48 kHz": ("aac", "mp4", 48000, SAMPLE, 0, 0.03),
    "m4a of 22.05 kHz": ("aac", "mp4", 22050, SAMPLE, 0, 0.03),
    "m4a of 11.025 kHz": ("aac", "mp4", 11025, SAMPLE, 0, 0.03),
    "m4a of 8 kHz": ("aac", "mp4", 8000, SAMPLE, 0, 0.03),
    "lossless m4a of 4 kHz": ("alac", "mp4", 4000, 0, 0, 1e-3),
    "matroska": ("aac", "matroska", 44100, SAMPLE, 0.03, 0.03),
    "webm": ("libopus", "webm", 48000, SAMPLE, 0.03, 0.05),
    # A codec for speech, whose levels are not those of the sound; PyAV from 19 on decodes it and has no encoder.
    "3gp of phones": ("clicks.3gp", "3gp", 8000, 0.006, 0.03, 0.5),
    "amr": ("clicks.amr", "amr", 8000, 0.006, 0.03, 0.5),
    # Raw AAC does not say how late it is.
    "raw aac": ("aac", "adts", 44100, 1025 / 44100, 0.06, 0.03),
    "wav that libsndfile refuses": ("adpcm_g726", "wav", 8000, 0, 0.06, 0.1),
}


@pytest.fixture(scope="module")
def files():
    """The bytes of a file of each kind, made once."""
    made = {}

    def get(kind):
        if kind not in made:
            codec, container, rate, *_ = EXACT[kind]
            stored = Path(__file__).with_name(codec)
            if stored.exists():  # clicks(rate) encoded as amr_nb at 12.2 kbit/s by PyAV 18
                made[kind] = stored.read_bytes()
            else:
                made[kind] = encode(clicks(rate), rate, codec, container, 32000 if codec == "adpcm_g726" else 96000)
        return made[kind]

    return get


@pytest.mark.parametrize("kind", EXACT)
def test_length_level_and_offset(kind, files):
    _, _, rate, late, longer, share = EXACT[kind]
    with pytest.raises(soundfile.SoundFileError):
        soundfile.SoundFile(io.BytesIO(files(kind)))
    with audio_source(files(kind)).open_audio() as file:
        assert (file.samplerate, file.channels, file.flaw) == (rate, 1, None)
        samples = file.read()
        assert samples.shape == (file.frames, 1) and samples.dtype == np.float32
        assert len(file.read()) == 0
    sound = clicks(rate)
    # An MP4 states the end of the sound in milliseconds.
    assert -0.001 * rate <= len(samples) - len(sound) <= max(longer, 0.001) * rate
    assert max(map(abs, delays(samples[:, 0], rate))) <= max(late * rate, late > 0)
    middle = slice(int(1.6 * rate), int(2.6 * rate))  # the tone alone
    assert np.std(samples[middle]) == pytest.approx(np.std(sound[middle]), rel=share)


@pytest.mark.parametrize("kind", ["m4a of 44.1 kHz", "webm", "matroska", "3gp of phones", "raw aac"])
def test_seeking_is_exact(kind, files):
    with audio_source(files(kind)).open_audio() as file:
        whole = file.read()
        for frame in (0, 1, len(whole) // 3, int(0.9 * len(whole)), 17, len(whole)):
            assert file.seek(frame) == frame
            # The decoder of AMR never quite forgets what it decoded before.
            np.testing.assert_allclose(file.read(3000), whole[frame : frame + 3000], atol=0.02 if "3gp" in kind else 0)
        clip = soundfile.SoundFile(io.BytesIO(cut_clip(audio_source(files(kind)), 1.0, 1.5)))
        np.testing.assert_allclose(clip.read(always_2d=True), whole[file.samplerate :][: len(clip)], atol=0.02)
        with pytest.raises(LungSRADError, match=f"expected one from 0 to {len(whole)}"):
            file.seek(len(whole) + 1)


def test_blocks_are_what_the_whole_gives(files):
    stream = RecordingStream(files("m4a of 44.1 kHz"), 16000)
    blocks = np.concatenate([block.numpy() for block in stream.blocks()])
    whole = load_recording(files("m4a of 44.1 kHz"), 16000).numpy()
    assert stream.native_rate == 44100 and len(blocks) == len(whole) == stream.samples
    inside = slice(1000, -1000)  # within the fades of the stream
    np.testing.assert_allclose(blocks[inside], whole[inside], atol=1e-6)


@pytest.mark.parametrize(
    ("codec", "container"), [("alac", "mp4"), ("aac", "mp4"), ("pcm_u8", "mov"), ("pcm_f64le", "mov")]
)
def test_channels_and_sample_formats(codec, container):
    left, right = clicks(8000), 0.25 * np.sin(np.arange(28000) / 20)
    with audio_source(encode(np.stack([left, right], axis=1), 8000, codec, container)).open_audio() as file:
        samples = file.read(20000)
    assert samples.shape == (20000, 2)
    for channel, sound in enumerate((left, right)):
        assert np.std(samples[:, channel]) == pytest.approx(np.std(sound[:20000]), rel=0.05)
        assert np.corrcoef(samples[:, channel], sound[:20000])[0, 1] > 0.98


@pytest.fixture(scope="module")
def breath(tmp_path_factory):
    folder = tmp_path_factory.mktemp("breath")
    synthesize_icbhi(folder / "icbhi", patients=5, recordings=1, progress=False)
    samples, rate = soundfile.read(sorted(folder.rglob("*.wav"))[2])
    return samples.astype(np.float32), rate


def test_probabilities_are_nearly_those_of_the_wav(breath):
    samples, rate = breath
    classifier = LungSoundClassifier.from_hparams()
    expected = classifier.classify_file(samples, sample_rate=rate)
    for codec, container in (("aac", "mp4"), ("alac", "mp4")):
        result = classifier.classify_file(encode(samples, rate, codec, container, bit_rate=64000))
        assert (result.duration, result.sample_rate) == (pytest.approx(expected.duration, abs=0.001), rate)
        assert len(result.segments) == len(expected.segments)
        for one, other in zip(result.segments, expected.segments, strict=True):
            assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=0.05)


def video_without_sound():
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(stream.encode(None))
    return content.getvalue()


def damaged(files):
    content = bytearray(files("m4a of 44.1 kHz"))
    middle = len(content) // 3
    content[middle : middle + 4000] = bytes(4000)
    return bytes(content)


BAD = {
    "cut off": (lambda files: files("m4a of 44.1 kHz")[:5000], "ends before its table of contents: it was cut off"),
    "damaged": (damaged, r"breaks off after \d\.\d\d s"),
    "no sound": (lambda files: video_without_sound(), "no audio stream"),
    "text": (lambda files: b"0.1 2.3 0 0\n" * 50, "cannot be read as audio"),
    "playlist": (
        lambda files: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "cannot be read as audio",
    ),
    "list of files": (lambda files: b"ffconcat version 1.0\nfile /etc/hostname\n", "cannot be read as audio"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_by_name(kind, files, tmp_path):
    make, message = BAD[kind]
    path = tmp_path / "bad.m4a"
    path.write_bytes(make(files))
    with pytest.raises(LungSRADError, match=rf"bad\.m4a: .*{message}"):
        load_recording(path)
    assert audio_seconds(path)[0] is None


def test_a_file_that_ends_before_its_header_says_is_flagged(files, tmp_path):
    # Faststart: the header before the sound, as streaming services write it.
    source = av.open(io.BytesIO(files("m4a of 44.1 kHz")))
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream = file.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    with av.open(str(path)) as file:
        ends = [packet.pos + packet.size for packet in file.demux() if packet.size]
    end = ends[len(ends) // 2]
    stream = RecordingStream(path.read_bytes()[:end])
    for _ in stream.blocks():
        pass
    assert "truncated" in {flaw.kind for flaw in stream.flaws()}
    assert 1.5 < stream.duration < 2
    with pytest.raises(LungSRADError, match=r"breaks off after 1\.\d\d s"):  # within a frame of the codec
        RecordingStream(path.read_bytes()[: end + 50])


@pytest.mark.parametrize("kind", ["matroska", "webm"])
def test_matroska_that_ends_before_its_header_says_is_flagged(kind, files):
    content = files(kind)
    for part, flaws in ((content, []), (content[: len(content) // 2], ["truncated"])):
        stream = RecordingStream(part)
        for _ in stream.blocks():
            pass
        assert [flaw.kind for flaw in stream.flaws()] == flaws


def test_without_pyav_the_file_and_the_cure_are_named(files, tmp_path, monkeypatch):
    path = tmp_path / "breath.m4a"
    path.write_bytes(files("m4a of 44.1 kHz"))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(LungSRADError, match=r'breath\.m4a: .*pip install "lung-srad\[formats\]"'):
        load_recording(path)


def test_folders_are_searched_for_all_endings(tmp_path):
    for ending in (".m4a", ".webm", ".3gp", ".amr", ".wav", ".txt"):
        (tmp_path / f"a{ending}").touch()
    assert {path.suffix for path in find_recordings([str(tmp_path)])} == {".m4a", ".webm", ".3gp", ".amr", ".wav"}
    assert ".raw" not in AUDIO_ENDINGS
