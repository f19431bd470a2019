"""Recordings that libsndfile does not read, decoded by PyAV: m4a, mp4, 3gp, amr, webm and others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from lung_srad_plugin.audio.truncation import find_truncation
from lung_srad_plugin.errors import LungSRADError

if TYPE_CHECKING:
    from lung_srad_plugin.audio.source import AudioSource

# FFmpeg knows playlists too, which would make it open other files and addresses: these containers hold what they name.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "ogg", "aac", "amr", "amrnb", "amrwb", "asf", "wav", "w64", "caf",
    "aiff", "au", "flac", "mp3", "ac3", "eac3", "avi", "flv", "mpegts",
)  # fmt: skip
# Seconds that a decoder gets before the sample that is wanted: what a frame decodes to depends on those before it.
PREROLL = 0.5
# Seconds by which a file may differ from what it states.
TOLERANCE = 0.1
_LARGEST_FRAME = 4096  # samples


@dataclass(frozen=True)
class Scan:
    """What decoding a recording once has shown.

    Arguments
    ---------
    rate, channels, frames : int
        Frames are samples of each channel.
    stamps, offsets : numpy.ndarray
        The time stamp of each decoded frame of the codec, and the index of its first sample.
    flaw : str or None
        What is wrong with its length, in a sentence.
    """

    rate: int
    channels: int
    frames: int
    stamps: np.ndarray
    offsets: np.ndarray
    flaw: str | None


# By source, as long as the source lives: a recording is opened several times.
_SCANS: WeakKeyDictionary[AudioSource, Scan] = WeakKeyDictionary()


class AVRecording:
    """A recording opened for decoding, with what is used of ``soundfile.SoundFile``.

    Containers state lengths that are not exact, so a recording is decoded once when it is opened first. What encoders
    add before the first sample is left out as the container says (edit lists, pre-skip); a raw AAC stream does not say.

    Arguments
    ---------
    source : AudioSource
    reason : str
        Why libsndfile did not read it, for messages.

    Attributes
    ----------
    samplerate, channels, frames : int
    subtype : str
        What samples are decoded to, as libsndfile names it.
    flaw : str or None
        As of ``Scan``.

    Raises
    ------
    LungSRADError
        Where PyAV is not installed, or the file is damaged, of another format, or without sound.
    """

    subtype = "FLOAT"

    def __init__(self, source: AudioSource, reason: str):
        self._av = _import_av(source.name, reason)
        self._source, self._reason = source, reason
        self._container: Any = None
        self._file: Any = None
        self._parts: Iterator[tuple[int | None, np.ndarray]] = iter(())
        self._held = np.zeros((0, 0), dtype=np.float32)
        self._position = 0
        self._known = _SCANS.get(source) or self._scan()
        _SCANS[source] = self._known
        self.samplerate, self.channels = self._known.rate, self._known.channels
        self.frames, self.flaw = self._known.frames, self._known.flaw
        self._start()

    def __enter__(self) -> AVRecording:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        if self._file is not None:
            self._file.close()
        self._container = self._file = None

    def read(self, frames: int = -1, dtype: str = "float32", always_2d: bool = True) -> np.ndarray:
        """Return the next samples, full scale at 1; fewer than asked for at the end.

        Arguments
        ---------
        frames : int
            Samples of each channel; all that are left where negative.
        dtype : str
            ``"float32"`` or ``"float64"``.
        always_2d : bool
            Only True.

        Returns
        -------
        numpy.ndarray
            (frames, channels)

        Raises
        ------
        LungSRADError
            Where the samples cannot be decoded.
        """
        if dtype not in ("float32", "float64") or not always_2d:
            raise LungSRADError(f"read(dtype={dtype!r}, always_2d={always_2d}); expected float32 or float64, and True")
        left = self.frames - self._position
        wanted = left if frames < 0 else min(frames, left)
        parts: list[np.ndarray] = []
        count = 0
        while count < wanted:
            if not len(self._held):
                following = next(self._parts, None)
                if following is None:
                    break
                self._held = following[1]
                continue
            part = self._held[: wanted - count]
            self._held = self._held[len(part) :]
            parts.append(part)
            count += len(part)
        self._position += count
        return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros((0, self.channels), dtype=dtype)

    def seek(self, frame: int) -> int:
        """Go to a sample, exactly: decoding begins a little before it.

        Arguments
        ---------
        frame : int
            From 0 to ``frames``.

        Returns
        -------
        int
            The sample.
        """
        if not 0 <= frame <= self.frames:
            raise LungSRADError(f"{self._source.name}: sample {frame}; expected one from 0 to {self.frames}")
        known = self._known
        index = int(np.searchsorted(known.offsets, frame - PREROLL * self.samplerate, side="right")) - 1
        self._start()
        found = None
        if index > 0 and len(np.unique(known.stamps)) == len(known.stamps):
            self._container.seek(int(known.stamps[index]), stream=self._container.streams.audio[0])
            self._parts = self._decode()
            found = self._drop_to(frame)
        if found is None:  # the container has no time stamps to find the sample by
            self._start()
            self._drop_to(frame)
        self._position = frame
        return frame

    def _drop_to(self, frame):
        """Decode up to a sample; return None where it cannot be told where decoding began."""
        known = self._known
        for stamp, part in self._parts:
            found = np.flatnonzero(known.stamps == stamp)
            offset = int(known.offsets[found[0]]) if len(found) else None
            if offset is None or offset > frame:
                return None
            if offset + len(part) > frame:
                self._held = part[frame - offset :]
                return frame
        return frame

    def _start(self):
        """Open the file at its beginning."""
        self.close()
        try:
            self._file = self._source.open_bytes()
            self._container = self._av.open(self._file, "r", options={"format_whitelist": ",".join(CONTAINERS)})
        except (self._av.FFmpegError, OSError, ValueError) as error:
            self.close()
            with self._source.open_bytes() as file:
                cure = find_truncation(file) or "expected WAV or another format that libsndfile or PyAV reads"
            raise LungSRADError(
                f"{self._source.name}: cannot be read as audio ({self._reason}; PyAV: {_describe(error)}); {cure}"
            ) from error
        if not self._container.streams.audio:
            self.close()
            raise LungSRADError(f"{self._source.name}: cannot be read as audio: the file has no audio stream")
        self._parts = self._decode()
        self._held = np.zeros((0, 0), dtype=np.float32)
        self._position = 0

    def _decode(self) -> Iterator[tuple[int | None, np.ndarray]]:
        """Yield time stamp and samples (samples, channels) of each frame of the codec."""
        done, shape, resampler = 0, None, None
        try:
            for frame in self._container.decode(self._container.streams.audio[0]):
                found = (frame.sample_rate, frame.layout.nb_channels)
                shape = shape or found
                if found != shape:
                    raise LungSRADError(
                        f"{self._source.name}: changes from {shape[1]} channels at {shape[0]} Hz to {found[1]} at "
                        f"{found[0]} Hz; expected one of each"
                    )
                stamp, parts = frame.pts, [frame]
                if frame.format.name != "fltp":
                    if resampler is None:
                        resampler = self._av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
                    parts = resampler.resample(frame)
                for part in parts:
                    done += part.samples
                    yield stamp, part.to_ndarray().T
        except (self._av.FFmpegError, ValueError) as error:
            after = done / shape[0] if shape else 0.0
            raise LungSRADError(
                f"{self._source.name}: cannot be read as audio to its end: breaks off after {after:.2f} s "
                f"({_describe(error)})"
            ) from error

    def _scan(self):
        self._start()
        try:
            stamps, offsets, count, channels = [], [], 0, 0
            for stamp, part in self._parts:
                stamps.append(-1 if stamp is None else stamp)
                offsets.append(count)
                count += len(part)
                channels = part.shape[1]
            stream = self._container.streams.audio[0]
            rate, base = stream.codec_context.sample_rate, stream.time_base
            stated = None if stream.duration is None else float(stream.duration * base)
            exact = self._container.format.name.startswith("mov")  # its edit list says where the sound ends
            if exact and stated is not None and 0 < count - round(stated * rate) < _LARGEST_FRAME:
                count = round(stated * rate)
            if count == 0:
                raise LungSRADError(f"{self._source.name}: the audio file holds no samples")
            if self._container.format.name.startswith("matroska") and len(self._container.streams) == 1:
                # Stated of the file, not of its stream; absent where it was streamed.
                stated, exact = (self._container.duration or 0) / 1e6, True
            span = (stamps[-1] - stamps[0]) * float(base) + (count - offsets[-1]) / rate
            flaw = _find_flaw(count / rate, stated if exact else None, span)
            return Scan(rate, channels, count, np.array(stamps), np.array(offsets), flaw)
        finally:
            self.close()


def _find_flaw(seconds, stated, span):
    if stated is not None and stated - seconds > TOLERANCE:
        return f"the file holds {seconds:.2f} s of the {stated:.2f} s that its header promises: it was cut off"
    if span - seconds > TOLERANCE:
        return (
            f"the file has gaps: {seconds:.2f} s of sound for {span:.2f} s; times after a gap are those of the sound "
            "without it"
        )
    return None


def _import_av(name, reason):
    try:
        import av
    except ImportError:
        raise LungSRADError(
            f"{name}: cannot be read as audio ({reason}): it is not a format that libsndfile reads. Recordings of "
            'phones and browsers (m4a, mp4, 3gp, amr, webm) need PyAV: pip install "lung-srad[formats]"'
        ) from None
    return av


def _describe(error):
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
