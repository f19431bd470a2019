"""The rule that makes normal, crackle, wheeze and both of breath phases and adventitious sounds.

HF_Lung labels breath phases and adventitious sounds, and nothing as normal. Most of the time nothing is labelled.

- A sound is *in* a phase where they overlap by at least half of the shorter of the two.
- A phase with sounds in it has their class. A phase that no sound overlaps is normal.
- A phase that sounds overlap without one being in it is left out: neither class is certain.
- A sound that is in no phase stands for itself, with the class of all sounds that are in it.
- What is not labelled is nothing: it becomes no row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lung_srad_plugin.datasets.hf_lung.annotation import PHASES, SOUNDS, Interval
from lung_srad_plugin.labels import label_of

SHARE_INSIDE = 0.5


@dataclass(frozen=True)
class Stretch:
    """A stretch of a recording with one class.

    Arguments
    ---------
    interval : Interval
        The breath phase, or the sound that is in none.
    label : str
        One of ``CLASSES``.
    sounds : tuple of str
        The labels of the sounds in it, sorted.
    """

    interval: Interval
    label: str
    sounds: tuple[str, ...]


def classify_intervals(intervals: Sequence[Interval]) -> tuple[list[Stretch], list[Interval]]:
    """Return the stretches of a recording with a class, and the breath phases that are left out.

    Arguments
    ---------
    intervals : sequence of Interval
        All of one recording.

    Returns
    -------
    stretches : list of Stretch
        In time order.
    uncertain : list of Interval
        Phases that sounds overlap without one being in them.

    Example
    -------
    >>> phases = [Interval(1, "I", 0.0, 2.0), Interval(2, "E", 2.0, 4.0), Interval(3, "I", 5.0, 6.0)]
    >>> stretches, uncertain = classify_intervals([*phases, Interval(4, "Rhonchi", 1.8, 3.0)])
    >>> [(stretch.interval.line, stretch.label) for stretch in stretches], [phase.line for phase in uncertain]
    ([(2, 'wheeze'), (3, 'normal')], [1])
    """
    phases = [interval for interval in intervals if interval.label in PHASES]
    sounds = [interval for interval in intervals if interval.label in SOUNDS]
    stretches, uncertain = [], []
    for phase in phases:
        inside = [sound for sound in sounds if _is_inside(phase, sound)]
        if not inside and any(_overlap(phase, sound) > 0 for sound in sounds):
            uncertain.append(phase)
        else:
            stretches.append(_stretch(phase, inside))
    for sound in sounds:
        if not any(_is_inside(phase, sound) for phase in phases):
            stretches.append(_stretch(sound, [other for other in sounds if _is_inside(sound, other)]))
    return sorted(stretches, key=lambda stretch: (stretch.interval.start, stretch.interval.line)), uncertain


def _overlap(one, other):
    return min(one.stop, other.stop) - max(one.start, other.start)


def _is_inside(one, other):
    # Times are whole milliseconds; a millionth of a second makes up for their rounding.
    return _overlap(one, other) + 1e-6 >= SHARE_INSIDE * min(one.stop - one.start, other.stop - other.start)


def _stretch(interval, inside):
    kinds = {SOUNDS[sound.label] for sound in inside}
    return Stretch(
        interval, label_of("crackle" in kinds, "wheeze" in kinds), tuple(sorted({sound.label for sound in inside}))
    )
