"""ICBHI annotation files: one breathing cycle a line, ``start stop crackle wheeze``."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from lung_srad_plugin.audio.bounds import END_TOLERANCE
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.labels import label_of


@dataclass(frozen=True)
class Cycle:
    """One annotated breathing cycle.

    Arguments
    ---------
    line : int
        Line of the annotation file, counted from 1.
    start, stop : float
        Seconds from the beginning of the recording.
    crackle, wheeze : int
        1 where the finding is present, else 0.
    """

    line: int
    start: float
    stop: float
    crackle: int
    wheeze: int

    @property
    def label(self) -> str:
        """The cycle's class."""
        return label_of(self.crackle, self.wheeze)


def parse_annotation(text: str, file: str) -> tuple[list[Cycle], list[Problem]]:
    """Return the cycles of an annotation and the problems of the lines that are none.

    Every line is judged on its own and against the last good line before it: cycles must follow each other without
    overlapping.

    Arguments
    ---------
    text : str
        Content of the annotation file.
    file : str
        What to call the file in problems.

    Returns
    -------
    cycles : list of Cycle
        In the order of the file.
    problems : list of Problem
        One for each line that is left out, or one for an annotation without any line.

    Example
    -------
    >>> cycles, problems = parse_annotation("0.036\\t0.579\\t0\\t0\\n0.579\\t0.5\\t1\\t0\\n", "101.txt")
    >>> cycles
    [Cycle(line=1, start=0.036, stop=0.579, crackle=0, wheeze=0)]
    >>> print(problems[0])
    101.txt, line 2: start 0.579 is not before stop 0.5
    """
    cycles: list[Cycle] = []
    problems: list[Problem] = []
    lines = text.rstrip().splitlines()
    if not lines:
        problems.append(Problem(file, "no cycles; expected lines of 'start stop crackle wheeze'", left_out="recording"))
    for number, line in enumerate(lines, 1):
        cycle, fault = _parse_line(line, number)
        if cycle and cycles and cycle.start < cycles[-1].start:
            fault = f"unsorted: starts at {cycle.start}, before the cycle of line {cycles[-1].line}"
        elif cycle and cycles and cycle.start < cycles[-1].stop:
            fault = (
                f"starts at {cycle.start} and overlaps the cycle of line {cycles[-1].line}, "
                f"which stops at {cycles[-1].stop}"
            )
        if fault:
            problems.append(Problem(file, fault, line=number, left_out="cycle"))
        else:
            cycles.append(cycle)
    return cycles, problems


def _parse_line(line, number):
    fields = line.split()
    if len(fields) != 4:
        return None, f"malformed: {line!r}; expected 'start stop crackle wheeze'"
    try:
        start, stop = float(fields[0]), float(fields[1])
    except ValueError:
        return None, f"malformed: {line!r}; start and stop are seconds, with a decimal point"
    if not (math.isfinite(start) and math.isfinite(stop)):
        return None, f"malformed: {line!r}; start and stop are finite numbers of seconds"
    if any(finding not in ("0", "1") for finding in fields[2:]):
        return None, f"unknown finding in {line!r}; crackle and wheeze are 0 (absent) or 1 (present)"
    if start < 0:
        return None, f"start {start} is negative"
    if start >= stop:
        return None, f"start {start} is not before stop {stop}"
    return Cycle(number, start, stop, int(fields[2]), int(fields[3])), None


def fit_to_audio(
    cycles: list[Cycle], seconds: float, file: str, tolerance: float = END_TOLERANCE
) -> tuple[list[Cycle], list[Problem]]:
    """Cut cycles at the end of the audio where they reach past it by no more than the tolerance.

    Arguments
    ---------
    cycles : list of Cycle
        As annotated.
    seconds : float
        Length of the audio.
    file : str
        What to call the annotation file in problems.
    tolerance : float
        Seconds that a cycle may reach past the end.

    Returns
    -------
    cycles : list of Cycle
        Those that lie within the audio; none stops after its end.
    problems : list of Problem
        One for each cycle that is left out.

    Example
    -------
    >>> cycles, problems = fit_to_audio([Cycle(1, 0.0, 2.01, 0, 0), Cycle(2, 2.01, 3.0, 0, 0)], 2.0, "101.txt")
    >>> [cycle.stop for cycle in cycles]
    [2.0]
    >>> print(problems[0])
    101.txt, line 2: the cycle from 2.01 to 3.0 s reaches beyond the end of the audio, which lasts 2.000 s ...
    """
    inside, problems = [], []
    for cycle in cycles:
        if cycle.stop > seconds + tolerance or cycle.start >= seconds:
            message = (
                f"the cycle from {cycle.start} to {cycle.stop} s reaches beyond the end of the audio, which lasts "
                f"{seconds:.3f} s (tolerance {tolerance} s)"
            )
            problems.append(Problem(file, message, line=cycle.line, left_out="cycle"))
        else:
            inside.append(replace(cycle, stop=min(cycle.stop, seconds)))
    return inside, problems


def read_annotation(path: str | Path) -> list[Cycle]:
    """Return the cycles of an annotation file.

    Arguments
    ---------
    path : str or pathlib.Path
        A text file, UTF-8.

    Returns
    -------
    list of Cycle

    Raises
    ------
    LungSRADError
        With every line that is wrong.

    Example
    -------
    >>> path = getfixture("tmp_path") / "101_1b1_Al_sc_Meditron.txt"
    >>> _ = path.write_text("0.036\\t0.579\\t0\\t1\\n")
    >>> [cycle.label for cycle in read_annotation(path)]
    ['wheeze']
    """
    cycles, problems = parse_annotation(Path(path).read_text(encoding="utf-8-sig"), str(path))
    raise_problems(problems, str(path))
    return cycles
