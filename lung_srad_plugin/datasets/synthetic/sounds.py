"""The parts of a synthetic lung sound: breath noise, crackles, wheezes, heart sounds, and the colour of a stethoscope.

Each part follows what the literature measured, and nothing more: these waveforms are a stand-in for real recordings.

References
----------
Gavriely, Palti, Alroy (1981). Spectral characteristics of normal breath sounds. J Appl Physiol 50.
Gavriely, Nissan, Rubin, Cugell (1995). Spectral characteristics of chest wall breath sounds in normal subjects.
Thorax 50.
Pasterkamp, Kraman, Wodicka (1997). Respiratory sounds: advances beyond the stethoscope. Am J Respir Crit Care Med 156.
Piirilä, Sovijärvi (1995). Crackles: recording, analysis and clinical significance. Eur Respir J 8.
Sovijärvi, Dalmasso, Vanderschoot, Malmberg, Righini, Stoneman (2000). Definition of terms for applications of
respiratory sounds. Eur Respir Rev 10 (CORSA).
Kiyokawa, Greenberg, Shirota, Pasterkamp (2001). Auditory detection of simulated crackles in breath sounds. Chest 119.
"""

from collections.abc import Callable, Sequence

import numpy as np

DECIBELS_PER_OCTAVE = 20 * np.log10(2)  # of a spectrum that falls as 1 / frequency


def breath_noise(samples: int, sample_rate: int, corner: float, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise with the spectrum of breath sounds over the chest wall.

    The amplitude spectrum is flat from 75 Hz to a corner and falls steadily above it: by 13 to 15 dB per octave in
    inspiration, by 13 to 20 dB in expiration (Gavriely et al., 1995). Below 75 Hz it falls by 12 dB per octave.

    Arguments
    ---------
    samples : int
        Length.
    sample_rate : int
        In Hz.
    corner : float
        Frequency in Hz above which the spectrum falls.
    slope : float
        Fall in dB per octave, positive.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    numpy.ndarray
        (samples,), with a root mean square of 1.

    Example
    -------
    >>> noise = breath_noise(16000, 16000, corner=200, slope=14, rng=np.random.default_rng(0))
    >>> noise.shape, round(float((noise**2).mean()), 6)
    ((16000,), 1.0)
    """

    def gain(frequency):
        fall = (1 + (frequency / corner) ** 2) ** (-slope / DECIBELS_PER_OCTAVE / 2)
        low = (frequency / 75) ** 2
        return fall * low / (1 + low)

    noise = apply_gain(rng.standard_normal(samples), sample_rate, gain)
    return noise / np.sqrt(np.mean(noise**2))


def apply_gain(waveform: np.ndarray, sample_rate: int, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Filter a waveform in the frequency domain, without changing phases.

    Arguments
    ---------
    waveform : numpy.ndarray
        (samples,)
    sample_rate : int
        In Hz.
    gain : callable
        Takes frequencies in Hz and returns the gain at each.

    Returns
    -------
    numpy.ndarray
        (samples,)

    Example
    -------
    >>> apply_gain(np.ones(4), 4, lambda frequency: 2.0 * (frequency < 2)).shape
    (4,)
    """
    # A power of two, twice as long as needed at most: fast, and the end does not leak into the start.
    length = 1 << len(waveform).bit_length()
    frequency = np.fft.rfftfreq(length, 1 / sample_rate)
    return np.fft.irfft(np.fft.rfft(waveform, length) * gain(frequency), length)[: len(waveform)]


def crackle(deflection: float, two_cycles: float, sample_rate: int) -> np.ndarray:
    """One crackle: an explosive, damped wave of two cycles whose period grows.

    The waveform is that of Kiyokawa et al. (2001): with time t running from 0 to 1 over the two cycles,
    ``sin(4 pi t^a)``, ``a = log(0.25) / log(deflection / two_cycles)``, under a bell ``(1 - cos(2 pi sqrt(t))) / 2``.
    It crosses zero first at the initial deflection width and for the fourth time at the two-cycle duration. Typical
    values are 0.7 and 5 ms for fine crackles, 1.5 and 10 ms for coarse ones (Pasterkamp et al., 1997); in CORSA's terms
    fine crackles last less than 10 ms and coarse ones more (Sovijärvi et al., 2000).

    Arguments
    ---------
    deflection : float
        Initial deflection width (IDW) in seconds; less than a quarter of ``two_cycles``, since the period grows.
    two_cycles : float
        Two-cycle duration (2CD) in seconds.
    sample_rate : int
        In Hz.

    Returns
    -------
    numpy.ndarray
        (samples,), of peak 1.

    Example
    -------
    >>> crackle(0.0007, 0.005, 44100).shape
    (221,)
    """
    time = np.arange(int(two_cycles * sample_rate) + 1) / (two_cycles * sample_rate)
    exponent = np.log(0.25) / np.log(deflection / two_cycles)
    wave = np.sin(4 * np.pi * time**exponent) * (1 - np.cos(2 * np.pi * np.sqrt(time))) / 2
    return wave / np.abs(wave).max()


def wheeze(
    start_hz: float,
    stop_hz: float,
    duration: float,
    sample_rate: int,
    harmonics: Sequence[float] = (1.0, 0.3, 0.1),
    phase: float = 0.0,
) -> np.ndarray:
    """One wheeze: a tone with harmonics that glides slowly, with a soft start and end.

    Wheezes are sinusoidal, last longer than 80 to 100 ms and have their dominant frequency between about 100 and
    1000 Hz (Pasterkamp et al., 1997; Sovijärvi et al., 2000).

    Arguments
    ---------
    start_hz, stop_hz : float
        The fundamental at the start and at the end; in between it changes by a constant ratio.
    duration : float
        In seconds.
    sample_rate : int
        In Hz.
    harmonics : tuple of float
        Amplitudes of the fundamental and its multiples. Those at or above half the sample rate are left out.
    phase : float
        Of the fundamental at the start, in radians.

    Returns
    -------
    numpy.ndarray
        (samples,), where the fundamental has the amplitude ``harmonics[0]``.

    Example
    -------
    >>> wheeze(400, 380, 0.5, 4000).shape
    (2000,)
    """
    samples = int(duration * sample_rate)
    frequency = np.geomspace(start_hz, stop_hz, samples)
    angle = phase + 2 * np.pi * np.cumsum(frequency) / sample_rate
    wave = np.zeros(samples)
    for multiple, amplitude in enumerate(harmonics, start=1):
        if multiple * max(start_hz, stop_hz) < sample_rate / 2:
            wave += amplitude * np.sin(multiple * angle)
    edge = np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.2 * samples)
    return wave * np.sin(np.pi / 2 * np.minimum(edge, 1)) ** 2


def heart_sounds(
    samples: int, sample_rate: int, beats_per_minute: float, first: float, rng: np.random.Generator
) -> np.ndarray:
    """First and second heart sounds: short low-frequency thuds, below some 150 Hz.

    Arguments
    ---------
    samples : int
        Length.
    sample_rate : int
        In Hz.
    beats_per_minute : float
        Heart rate; each interval varies by a few per cent.
    first : float
        Time of the first beat in seconds.
    rng : numpy.random.Generator
        Source of the variation.

    Returns
    -------
    numpy.ndarray
        (samples,), of peak about 1.

    Example
    -------
    >>> heart_sounds(8000, 4000, 70, 0.2, np.random.default_rng(0)).shape
    (8000,)
    """
    time = np.arange(samples) / sample_rate
    wave = np.zeros(samples)
    beat = first
    while beat < samples / sample_rate:
        interval = 60 / beats_per_minute * rng.normal(1, 0.03)
        for delay, hertz, width, amplitude in ((0.0, 45, 0.030, 1.0), (0.36 * interval, 65, 0.022, 0.7)):
            begin, end = np.searchsorted(time, (beat + delay - 4 * width, beat + delay + 4 * width))
            offset = time[begin:end] - beat - delay
            wave[begin:end] += amplitude * np.exp(-0.5 * (offset / width) ** 2) * np.sin(2 * np.pi * hertz * offset)
        beat += interval
    return wave


def stethoscope(waveform: np.ndarray, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Colour a waveform as a stethoscope or microphone does: a band, with slopes of 12 dB per octave beside it.

    Arguments
    ---------
    waveform : numpy.ndarray
        (samples,)
    sample_rate : int
        In Hz.
    low_hz, high_hz : float
        Ends of the band, where the gain is one half.

    Returns
    -------
    numpy.ndarray
        (samples,)

    Example
    -------
    >>> stethoscope(np.ones(100), 4000, 20, 2000).shape
    (100,)
    """

    def gain(frequency):
        low = (frequency / low_hz) ** 2
        return low / (1 + low) / (1 + (frequency / high_hz) ** 2)

    return apply_gain(waveform, sample_rate, gain)
