"""Reading recordings of any length in blocks, to the very samples that reading them whole gives.

``CycleFeatures.prepare`` of what ``load_recording`` returns is the definition; this is the same in bounded memory.
"""

import math

import soundfile
import torch

from lung_srad_plugin.audio.av_recording import AVRecording
from lung_srad_plugin.audio.cycles import FADE_SECONDS
from lung_srad_plugin.audio.levels import INT16_GAIN, LevelMeter, check_level
from lung_srad_plugin.audio.quality import MIN_SECONDS, ChannelChecks, Flaw, InputChecks, find_flaws, too_short
from lung_srad_plugin.audio.reading import resampling_ratio
from lung_srad_plugin.audio.resampling import BlockResampler
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.audio.truncation import find_truncation
from lung_srad_plugin.errors import LungSRADError

BLOCK_SECONDS = 4.0


class RecordingStream:
    """One channel of a recording at the wanted rate with its fades and gain, read from start to end in blocks.

    Arguments
    ---------
    recording : str, Path or AudioSource
        An audio file that libsndfile or PyAV reads, or what else ``audio_source`` takes. Several channels are averaged.
    sample_rate : int
        Wanted, in Hz.
    level : str
        As for ``CycleFeatures``. For ``"rms"`` the recording is read once more, before all else.

    Attributes
    ----------
    name : str
        What messages call the recording.
    native_rate, channels : int
        As in the file.
    samples : int
        Length at the wanted rate.
    duration : float
        Length in seconds.
    gain : float
        What the samples are multiplied by; 1 with ``level="recorded"``.
    checks : InputChecks
        Of what was read so far.

    Raises
    ------
    LungSRADError
        Where the file is absent, not readable as audio, empty or too short, or its rate is too low or too odd.

    Example
    -------
    >>> import numpy as np
    >>> path = getfixture("tmp_path") / "noise.wav"
    >>> soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 12000), 4000)
    >>> stream = RecordingStream(path)
    >>> stream.samples, stream.duration
    (48000, 3.0)
    >>> [len(part) for part in stream.cut([(0, 16000), (8000, 48000)])]
    [16000, 40000]
    """

    def __init__(self, recording, sample_rate=16000, level="recorded"):
        check_level(level)
        self.source = audio_source(recording)
        self.name = self.source.name
        self.sample_rate = sample_rate
        with self.source.open_audio() as file:
            self.native_rate, self.channels, self.frames = file.samplerate, file.channels, file.frames
            self._truncation = file.flaw if isinstance(file, AVRecording) else None
        self.checks = InputChecks(self.name, self.native_rate)
        self._channel_checks = ChannelChecks(self.channels)
        if self.frames == 0:
            raise LungSRADError(f"{self.name}: the audio file holds no samples")
        self.duration = self.frames / self.native_rate
        if self.duration < MIN_SECONDS:
            raise too_short(self.name, self.duration)
        self._old, self._new = resampling_ratio(self.native_rate, sample_rate, self.name)
        self.samples = math.ceil(self.frames * self._new / self._old)
        if self._truncation is None:
            with self.source.open_bytes() as file:
                self._truncation = find_truncation(file)
        self.gain = {"recorded": 1.0, "int16": INT16_GAIN}.get(level, 1.0)
        if level == "rms":
            self.gain = _measure_gain(RecordingStream(self.source, sample_rate))

    def flaws(self):
        """Return what the input checks found in what was read; all of it must have been, see ``InputChecks.flaws``.

        Returns
        -------
        tuple of Flaw
        """
        flaws = find_flaws(self.checks, self._channel_checks)
        return flaws if self._truncation is None else (*flaws, Flaw("truncated", self._truncation))

    def blocks(self):
        """Yield the recording from start to end, (samples,) float32 each."""
        done = 0
        blocks = self._native_blocks() if self._old == self._new else self._resampled_blocks()
        for block in blocks:
            block = block[: self.samples - done]
            if len(block):
                yield self._fade(block, done) * self.gain
            done += len(block)

    def _native_blocks(self):
        """Yield one channel at the file's own rate; each but the last has a whole number of resampling steps."""
        size = self._old * math.ceil(BLOCK_SECONDS * self.native_rate / self._old)
        read = 0
        with self.source.open_audio() as file:
            while read < self.frames:
                try:
                    block = file.read(size, dtype="float32", always_2d=True)
                except soundfile.SoundFileError as error:
                    second = read / self.native_rate
                    raise LungSRADError(f"{self.name}: breaks off after {second:.2f} s ({error})") from error
                if len(block) == 0:
                    raise LungSRADError(
                        f"{self.name}: its header promises {self.duration:.2f} s, but it ends after "
                        f"{read / self.native_rate:.2f} s; take the complete file"
                    )
                read += len(block)
                self._channel_checks.add(block)
                mono = torch.from_numpy(block).mean(dim=1)
                self.checks.add(mono.numpy())
                yield mono

    def _resampled_blocks(self):
        resampler = BlockResampler(self.native_rate, self.sample_rate, self._old, self._new)
        for block in self._native_blocks():
            part = resampler.add(block)
            if len(part):
                yield part
        yield resampler.finish()

    def _fade(self, block, offset):
        """Multiply by the part of the recording's ramps that lies in this block."""
        ramp = int(FADE_SECONDS * self.sample_rate)
        rise = torch.linspace(0, 1, ramp)
        for gain, start in ((rise, 0), (1 - rise, self.samples - ramp)):
            begin, end = max(start, offset), min(start + ramp, offset + len(block))
            if begin < end:
                block = block.clone()
                block[begin - offset : end - offset] *= gain[begin - start : end - start]
        return block

    def cut(self, spans):
        """Yield the samples of each span, reading forward once.

        Arguments
        ---------
        spans : list of (int, int)
            Begin and end in samples at the wanted rate, sorted by begin; they may overlap. In memory are the span at
            hand and a block.
        """
        held, offset, blocks = torch.zeros(0), 0, self.blocks()
        for begin, end in spans:
            while offset + len(held) < min(end, self.samples):
                if begin > offset:
                    drop = min(begin - offset, len(held))
                    held, offset = held[drop:], offset + drop
                held = torch.cat([held, next(blocks)])
            yield held[begin - offset : end - offset].clone()
        for _ in blocks:  # so that the checks see the rest
            pass


def _measure_gain(stream):
    """Return the gain of a recording, read from start to end."""
    meter = LevelMeter(stream.sample_rate)
    for block in stream.blocks():
        meter.add(block)
    return meter.gain()
