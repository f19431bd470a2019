"""Checks of a recording's samples: what makes it unfit for classification, and what a reader must know of it.

Whether it is a lung sound, and from which location on the chest, cannot be known from the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError

# Crackles and wheezes have their energy between 100 and 2,000 Hz (Bohadana, Izbicki and Kraman 2014, "Fundamentals of
# lung auscultation", NEJM 370, table 1), so that 4,000 samples a second is the least that holds them.
MIN_SAMPLE_RATE = 4000

# The shortest of the 6,898 annotated cycles of ICBHI 2017 lasts 0.200 s: nothing shorter was ever learned from.
MIN_SECONDS = 0.2

# Below a third of the smallest step of 16 bits nothing changes: silence, or a sensor that is stuck.
STILL = 1e-5
# A constant of up to three steps of 16 bits is what an offset or rounding leaves of silence.
SILENT_LEVEL = 1e-4

FULL_SCALE = 0.999
CLIPPED_RUN = 3  # samples in a row at full scale; a single one may be a true peak
CLIPPED_SHARE = 1e-4

QUIET_PEAK = 0.002  # the quietest of the 158 ICBHI recordings looked at peaks at 0.03
OFFSET = 0.1

# The average of channels that are inverted copies of each other is their difference. Of n independent ones the power is
# an n-th: no usual recorder has a hundred.
CANCELLED_POWER = 0.01

MAX_LISTED = 20  # more stretches of silence than this, as of a noise gate, become one flaw


@dataclass(frozen=True)
class Flaw:
    """Something about a recording that a reader of its result should know.

    Arguments
    ---------
    kind : str
        ``clipping``, ``silence``, ``constant``, ``channel``, ``offset``, ``quiet`` or ``truncated``.
    message : str
        In one sentence.
    start, end : float or None
        Seconds, where the flaw lies in one stretch.
    """

    kind: str
    message: str
    start: float | None = None
    end: float | None = None


class ChannelChecks:
    """Find channels without a signal, which make the average of all quieter, and channels that cancel each other.

    Arguments
    ---------
    channels : int
        Of the recording.

    Example
    -------
    >>> checks = ChannelChecks(2)
    >>> checks.add(np.array([[0.1, 0.0], [-0.1, 0.0]]))
    >>> [flaw.message for flaw in checks.flaws()]
    ['channel 2 of 2 has no signal from beginning to end; the average of the channels includes it']
    """

    def __init__(self, channels):
        self._lowest = np.full(channels, np.inf)
        self._highest = np.full(channels, -np.inf)
        self._of_channels = self._of_average = 0.0  # sums of squares

    def add(self, block):
        """Take the next samples (N, channels)."""
        if len(block):
            self._lowest = np.minimum(self._lowest, block.min(axis=0))
            self._highest = np.maximum(self._highest, block.max(axis=0))
            if block.shape[1] > 1:
                self._of_channels += float(np.square(block, dtype=np.float64).mean(axis=1).sum())
                self._of_average += float(np.square(block.mean(axis=1, dtype=np.float64)).sum())

    def cancelled(self) -> Flaw | None:
        """Return the flaw of channels that cancel each other, as those of a balanced microphone on a stereo input."""
        if self._of_average >= CANCELLED_POWER * self._of_channels:
            return None
        share = 100 * math.sqrt(self._of_average / self._of_channels)
        return Flaw(
            "channel",
            f"the channels cancel each other, their average has {share:.2g} % of their level; take one of them alone",
        )

    def flaws(self):
        """Return one flaw for each channel that never moved; where none did, ``InputChecks`` refuses the recording."""
        channels = len(self._lowest)
        dead = np.flatnonzero(self._highest - self._lowest <= STILL)
        return tuple(
            Flaw(
                "channel",
                f"channel {index + 1} of {channels} has no signal from beginning to end; the average of the channels "
                "includes it",
            )
            for index in (dead if channels > 1 else ())
        )


def find_flaws(checks: InputChecks, channels: ChannelChecks) -> tuple[Flaw, ...]:
    """Return the flaws of a recording from the checks of its average and of its channels.

    Raises
    ------
    LungSRADError
        As ``InputChecks.flaws``; where the average is silent because the channels cancel each other, it says that.
    """
    cancelled = channels.cancelled()
    try:
        found = checks.flaws()
    except LungSRADError:
        if cancelled is None:
            raise
        raise LungSRADError(f"{checks.name}: {cancelled.message}") from None
    return found + channels.flaws() + (() if cancelled is None else (cancelled,))


def too_short(name: str, seconds: float) -> LungSRADError:
    """Return the error of a recording that is shorter than ``MIN_SECONDS``."""
    return LungSRADError(
        f"{name}: lasts {seconds:.4f} s; expected at least {MIN_SECONDS} s, the shortest breathing cycle that a model "
        "has learned from"
    )


class InputChecks:
    """Checks of a recording, block by block while it is read.

    Arguments
    ---------
    name : str or Path
        What messages call it.
    sample_rate : int
        In Hz.

    Raises
    ------
    LungSRADError
        Where the sample rate is too low.

    Example
    -------
    >>> checks = InputChecks("a.wav", 4000)
    >>> checks.add(np.zeros(8000, dtype=np.float32))
    >>> checks.flaws()
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: a.wav: silence from beginning to end; expected a recording with sound in it
    """

    def __init__(self, name, sample_rate):
        if sample_rate < MIN_SAMPLE_RATE:
            raise LungSRADError(
                f"{name}: {sample_rate} samples a second; crackles and wheezes need at least {MIN_SAMPLE_RATE}, so "
                "take the original recording"
            )
        self.name = name
        self.sample_rate = sample_rate
        self.samples = 0
        self._stills = []  # (begin, end, level) in samples, MIN_SECONDS or longer
        self._still = (0, 0.0)  # begin and level of the run that the latest sample belongs to
        self._last = None
        self._clipped = 0
        self._at_limit = 0
        self._peak = 0.0
        self._total = 0.0

    def add(self, block):
        """Take the next samples (N,), float32, one channel.

        Raises
        ------
        LungSRADError
            Where a sample is not finite.
        """
        if len(block) == 0:
            return
        bad = ~np.isfinite(block)
        if bad.any():
            second = (self.samples + int(bad.argmax())) / self.sample_rate
            raise LungSRADError(
                f"{self.name}: the audio holds NaN or infinite samples, the first at {second:.3f} s; expected finite "
                "ones, so write the file again"
            )
        self._peak = max(self._peak, float(np.abs(block).max()))
        self._total += float(block.sum(dtype=np.float64))
        self._add_clipping(np.abs(block) >= FULL_SCALE)
        with np.errstate(over="ignore"):  # of differences between huge samples
            self._add_stills(block)
        self.samples += len(block)

    def _add_clipping(self, at_limit):
        padded = np.concatenate([np.full(self._at_limit, True), at_limit, [False]])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], padded]).astype(np.int8)))
        runs = edges[1::2] - edges[::2]
        # The run that the block ends in is carried over to the next block, and counted there.
        self._clipped += int(runs[runs >= CLIPPED_RUN].sum())
        trailing = int(runs[-1]) if len(runs) and at_limit[-1] else 0
        if trailing >= CLIPPED_RUN:
            self._clipped -= trailing
        self._at_limit = trailing

    def _add_stills(self, block):
        previous = block[0] if self._last is None else self._last
        moves = np.flatnonzero(np.abs(np.diff(block, prepend=previous)) > STILL)
        begin, level = self._still
        if self._last is None:
            level = float(block[0])
        # Nearly every sample of a sound moves: only the few runs that are long enough are looked at one by one.
        edges = np.concatenate([[begin], self.samples + moves])
        for run in np.flatnonzero(np.diff(edges) >= MIN_SECONDS * self.sample_rate):
            level_of_run = level if run == 0 else float(block[moves[run - 1]])
            self._stills.append((int(edges[run]), int(edges[run + 1]), level_of_run))
        self._still = (int(edges[-1]), float(block[moves[-1]]) if len(moves) else level)
        self._last = block[-1]

    def flaws(self):
        """Return what was found in the whole recording.

        Returns
        -------
        tuple of Flaw

        Raises
        ------
        LungSRADError
            Where there is nothing to classify: no or too few samples, silence, or a constant.
        """
        if self.samples < MIN_SECONDS * self.sample_rate:
            raise too_short(self.name, self.samples / self.sample_rate)
        begin, level = self._still
        if begin == 0:
            what = "silence" if abs(level) <= SILENT_LEVEL else f"one constant value, {level:.3g},"
            raise LungSRADError(f"{self.name}: {what} from beginning to end; expected a recording with sound in it")
        flaws = self._still_flaws(self.still_runs())
        clipped = self._clipped + (self._at_limit if self._at_limit >= CLIPPED_RUN else 0)
        if clipped > CLIPPED_SHARE * self.samples:
            flaws.append(
                Flaw(
                    "clipping",
                    f"{float(f'{100 * clipped / self.samples:.2g}'):g} % of the samples are cut off at full scale",
                )
            )
        if self._peak < QUIET_PEAK:
            flaws.append(Flaw("quiet", f"the loudest sample is {self._peak:.2g} of full scale"))
        mean = self._total / self.samples
        if abs(mean) > OFFSET:
            flaws.append(Flaw("offset", f"the samples are off zero by {mean:.2g} of full scale on average"))
        return tuple(flaws)

    def still_runs(self):
        """Return (begin, end, level), in samples, of what was silent or constant for at least ``MIN_SECONDS``."""
        begin, level = self._still
        last = [(begin, self.samples, level)] if self.samples - begin >= MIN_SECONDS * self.sample_rate else []
        return self._stills + last

    def _still_flaws(self, runs):
        if len(runs) <= MAX_LISTED:
            return [self._still_flaw(*run) for run in runs]
        seconds = sum(end - begin for begin, end, _ in runs) / self.sample_rate
        return [Flaw("silence", f"silence or a constant value in {len(runs)} stretches, {seconds:.1f} s in total")]

    def _still_flaw(self, begin, end, level):
        start, end = begin / self.sample_rate, end / self.sample_rate
        if abs(level) <= SILENT_LEVEL:
            return Flaw("silence", f"silence from {start:.2f} to {end:.2f} s", start, end)
        return Flaw("constant", f"one constant value, {level:.3g}, from {start:.2f} to {end:.2f} s", start, end)
