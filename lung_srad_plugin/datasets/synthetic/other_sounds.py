"""Generated sounds that are no lung sounds: noise, tones, hum, speech-like sound, music, clicks and others.

They measure what a detector of unlike sounds finds; nothing is trained or fitted on them.
"""

from collections.abc import Callable

import numpy as np

from lung_srad_plugin.datasets.synthetic.sounds import apply_gain
from lung_srad_plugin.errors import LungSRADError

PEAK = 0.5

# Formants of vowels in Hz (Peterson and Barney 1952, "Control methods used in a study of the vowels", means of men).
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
FORMANT_WIDTH = 90.0  # Hz
MAJOR, MINOR = (0, 4, 7), (0, 3, 7)  # semitones of a chord


def white_noise(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with the same power at all frequencies."""
    del sample_rate
    return rng.standard_normal(samples)


def pink_noise(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls as one over the frequency."""
    noise = rng.standard_normal(samples)
    return apply_gain(noise, sample_rate, lambda frequency: 1 / np.sqrt(np.maximum(frequency, 20.0)))


def clipped_noise(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """White noise most of which is cut off at full scale."""
    return np.clip(white_noise(samples, sample_rate, rng) * rng.uniform(3, 20), -1, 1)


def faint_noise(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """What is left of silence in 16 bits: rounding noise of one step."""
    del sample_rate
    return rng.integers(-1, 2, samples) / 32768


def tone(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """One steady sine between 80 and 1,800 Hz."""
    return np.sin(2 * np.pi * rng.uniform(80, 1800) * np.arange(samples) / sample_rate)


def chord(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Three steady sines, a major or minor triad."""
    root = rng.uniform(110, 600)
    time = np.arange(samples) / sample_rate
    pitches = root * 2 ** (np.array((MAJOR, MINOR)[rng.integers(2)]) / 12)
    return np.sin(2 * np.pi * pitches[:, None] * time).sum(axis=0)


def hum(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The mains at 50 or 60 Hz with its harmonics."""
    mains = (50.0, 60.0)[rng.integers(2)]
    time = np.arange(samples) / sample_rate
    wave = np.zeros(samples)
    for multiple in range(1, int(min(1500, 0.45 * sample_rate) / mains) + 1):
        amplitude = rng.uniform(0.3, 1) / multiple
        wave += amplitude * np.sin(2 * np.pi * mains * multiple * time + rng.uniform(0, 2 * np.pi))
    return wave


def clicks(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Single samples at full scale, 2 to 20 a second, and nothing between them."""
    wave = np.zeros(samples)
    count = max(2, int(rng.uniform(2, 20) * samples / sample_rate))
    wave[rng.integers(0, samples, count)] = rng.choice((-1.0, 1.0), count)
    return wave


def chirp(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A sine that sweeps from low to high again and again, as a siren does."""
    time = np.arange(samples) / sample_rate
    cycle = (time * rng.uniform(0.4, 2)) % 1
    frequency = 300 * (rng.uniform(2, 5)) ** cycle
    return np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate)


def speech(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Speech-like sound: pulses of a voice through the formants of vowels, in syllables with hisses and pauses."""
    wave = np.zeros(samples)
    voice, begin = rng.uniform(90, 260), int(rng.uniform(0, 0.2) * sample_rate)
    while begin < samples:
        length = int(rng.uniform(0.12, 0.3) * sample_rate)
        if rng.random() < 0.25:
            part = _hiss(length, sample_rate, rng) * 0.15
        else:
            part = _vowel(length, sample_rate, voice * rng.uniform(0.85, 1.2), VOWELS[rng.integers(len(VOWELS))])
        part = part * np.hanning(length)
        end = min(begin + length, samples)
        wave[begin:end] += part[: end - begin]
        pause = rng.uniform(0.25, 0.6) if rng.random() < 0.15 else rng.uniform(0, 0.06)
        begin = end + int(pause * sample_rate)
    return wave + 0.001 * rng.standard_normal(samples)


def music(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Plucked notes of chords in a steady beat, each with decaying harmonics, and a drum."""
    wave = np.zeros(samples)
    beat = int(60 / rng.uniform(80, 150) * sample_rate)
    root = rng.uniform(100, 220)
    for index, begin in enumerate(range(0, samples, beat)):
        if index % 4 == 0:
            degree, steps = rng.choice((0, 5, 7, 9)), (MAJOR, MINOR)[rng.integers(2)]
        for step in (*steps, int(rng.choice(steps)) + 12):
            note = _pluck(min(2 * beat, samples - begin), sample_rate, root * 2 ** ((degree + step) / 12))
            wave[begin : begin + len(note)] += note
        drum = min(int(0.08 * sample_rate), samples - begin)
        wave[begin : begin + drum] += 0.5 * rng.standard_normal(drum) * np.exp(-np.arange(drum) / (0.02 * sample_rate))
    return wave


OTHER_SOUNDS: dict[str, Callable[[int, int, np.random.Generator], np.ndarray]] = {
    "white noise": white_noise,
    "pink noise": pink_noise,
    "clipped noise": clipped_noise,
    "faint noise": faint_noise,
    "tone": tone,
    "chord": chord,
    "hum": hum,
    "clicks": clicks,
    "chirp": chirp,
    "speech-like": speech,
    "music": music,
}


def make_other_sound(kind: str, seconds: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return a generated sound that is no lung sound.

    Arguments
    ---------
    kind : str
        A key of ``OTHER_SOUNDS``.
    seconds : float
        Length.
    sample_rate : int
        In Hz.
    rng : numpy.random.Generator
        Source of all that varies.

    Returns
    -------
    numpy.ndarray
        (samples,), with a peak of 0.5, except for faint noise, which has steps of 16 bits.

    Raises
    ------
    LungSRADError
        Where there is no such kind.

    Example
    -------
    >>> make_other_sound("hum", 2.0, 8000, np.random.default_rng(0)).shape
    (16000,)
    """
    if kind not in OTHER_SOUNDS:
        raise LungSRADError(f"kind={kind!r}: expected one of {', '.join(OTHER_SOUNDS)}")
    wave = OTHER_SOUNDS[kind](int(seconds * sample_rate), sample_rate, rng)
    return wave if kind == "faint noise" else PEAK * wave / np.abs(wave).max()


def _vowel(samples, sample_rate, pitch, formants):
    """Pulses whose pitch falls a little, with the spectrum of a vowel."""
    phase = np.cumsum(np.linspace(1.05, 0.9, samples) * pitch / sample_rate)
    pulses = np.diff(np.floor(phase), prepend=0.0)

    def gain(frequency):
        peaks = sum(
            1 / (1 + ((frequency - formant) / FORMANT_WIDTH) ** 2) / (1 + index)
            for index, formant in enumerate(formants)
        )
        return (peaks + 0.01) / (1 + frequency / 500)

    wave = apply_gain(pulses, sample_rate, gain)
    return wave / max(np.abs(wave).max(), 1e-9)


def _hiss(samples, sample_rate, rng):
    """The noise of s and f: above 2 kHz."""
    return apply_gain(rng.standard_normal(samples), sample_rate, lambda frequency: 1.0 * (frequency > 2000))


def _pluck(samples, sample_rate, pitch):
    time = np.arange(samples) / sample_rate
    wave = np.zeros(samples)
    for multiple in range(1, 7):
        if pitch * multiple < sample_rate / 2:
            wave += np.sin(2 * np.pi * pitch * multiple * time) * np.exp(-time * multiple * 2) / multiple
    return wave * np.minimum(time / 0.005, 1)
