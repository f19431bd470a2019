"""Problems found in files, collected in one pass and reported together."""

from dataclasses import dataclass

from lung_srad_plugin.errors import LungSRADError

# Up to this many problems of one kind are listed one by one; more become one line with their number and examples.
LISTED = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where.

    Arguments
    ---------
    file : str
        The file at fault.
    message : str
        What is wrong and what was expected.
    line : int, optional
        Line of a text file, counted from 1.
    row : int, optional
        Row of a table, counted from 1, the header being row 1.
    column : str, optional
        Column of a table.
    left_out : str, optional
        What is left out where the caller continues in spite of the problem; ``None`` where it cannot continue.
    group : str, optional
        The message for many such problems at once, with ``{count}`` for their number. Without it, problems with the
        same message form a group.

    Example
    -------
    >>> print(Problem("101_1b1_Al_sc_Meditron.txt", "start 3.2 is not before stop 3.1", line=4))
    101_1b1_Al_sc_Meditron.txt, line 4: start 3.2 is not before stop 3.1
    """

    file: str
    message: str
    line: int | None = None
    row: int | None = None
    column: str | None = None
    left_out: str | None = None
    group: str | None = None

    def __str__(self):
        location = self.file
        if self.line is not None:
            location += f", line {self.line}"
        if self.row is not None:
            location += f", row {self.row}"
        if self.column is not None:
            location += f", column {self.column!r}"
        return f"{location}: {self.message}"


def sort_problems(problems: list[Problem]) -> list[Problem]:
    """Return the problems ordered by file, then by line or row."""
    return sorted(problems, key=lambda p: (p.file, p.line or 0, p.row or 0, p.column or "", p.message))


def describe_problems(problems: list[Problem]) -> list[tuple[str, int]]:
    """Return the lines that report problems, each with the number of problems it stands for.

    More than three problems of one kind, in the rows of one column, the lines of one file or in many files, become one
    line, which stands where the first of them would.

    Arguments
    ---------
    problems : list of Problem
        In the order in which to report them.

    Returns
    -------
    list of (str, int)

    Example
    -------
    >>> problems = [Problem("a.csv", "unknown label 'wet'", row=row, column="label") for row in range(2, 497)]
    >>> describe_problems(problems)
    [("a.csv, column 'label', 495 rows (2, 3, 4, ...): unknown label 'wet'", 495)]
    """
    groups: dict = {}
    for problem in problems:
        groups.setdefault(_kind(problem), []).append(problem)
    lines, described = [], set()
    for problem in problems:
        kind = _kind(problem)
        if len(groups[kind]) <= LISTED:
            lines.append((str(problem), 1))
        elif kind not in described:
            described.add(kind)
            lines.append((_describe_group(groups[kind]), len(groups[kind])))
    return lines


def _kind(problem):
    """What problems must have in common to be reported together."""
    file = problem.file if problem.row is not None or problem.line is not None else None
    return file, problem.column, problem.message if problem.group is None else problem.group


def _describe_group(group):
    """One line for many problems of one kind."""
    first, count = group[0], len(group)
    location, numbers = "", [member.file for member in group[:LISTED]]
    unit = "times"
    if first.row is not None or first.line is not None:
        location, unit = f"{first.file}, ", "lines" if first.row is None else "rows"
        numbers = [str(member.line if member.row is None else member.row) for member in group[:LISTED]]
    if first.column is not None:
        location += f"column {first.column!r}, "
    if first.group is None:
        return f"{location}{count} {unit} ({', '.join(numbers)}, ...): {first.message}"
    examples = f"for example {', '.join(numbers)}" if unit == "times" else f"{unit} {', '.join(numbers)}, ..."
    prefix = f"{location.removesuffix(', ')}: " if location else ""
    return f"{prefix}{first.group.replace('{count}', str(count))}, {examples}"


def raise_problems(problems: list[Problem], title: str, cure: str = "", limit: int | None = None) -> None:
    """Raise one error that lists all problems, those of one kind together; do nothing where there are none.

    Arguments
    ---------
    problems : list of Problem
        What was found.
    title : str
        What was examined; the message begins with it and the number of problems.
    cure : str
        A last line that says what to do.
    limit : int, optional
        Print only so many lines; the number of problems is that of all.

    Raises
    ------
    LungSRADError
        Where ``problems`` is not empty.

    Example
    -------
    >>> raise_problems([Problem("a.wav", "empty"), Problem("b.wav", "empty")], "data", "Delete them.")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data: 2 problems
      a.wav: empty
      b.wav: empty
    Delete them.
    """
    if not problems:
        return
    described = describe_problems(list(problems))
    shown = described if limit is None else described[:limit]
    lines = [f"{title}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    lines += [f"  {line}" for line, _ in shown]
    if len(shown) < len(described):
        lines.append(f"  ... and {sum(count for _, count in described[len(shown) :])} more")
    if cure:
        lines.append(cure)
    raise LungSRADError("\n".join(lines))


def describe_left_out(problems: list[Problem]) -> list[dict[str, str | None]]:
    """Return what was left out for each problem, and why, as ``summary.json`` lists it.

    Example
    -------
    >>> describe_left_out([Problem("a.txt", "no cycles", left_out="recording")])
    [{'what': 'recording', 'why': 'a.txt: no cycles'}]
    """
    return [{"what": problem.left_out, "why": str(problem)} for problem in problems]
