"""Problems found in files, gathered in one pass and reported together."""

from dataclasses import dataclass

from lung_srad_plugin.errors import LungSRADError


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
        What is left out where the caller goes on in spite of the problem; ``None`` where there is no way to go on.

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

    def __str__(self):
        where = self.file
        if self.line is not None:
            where += f", line {self.line}"
        if self.row is not None:
            where += f", row {self.row}"
        if self.column is not None:
            where += f", column {self.column!r}"
        return f"{where}: {self.message}"


def sort_problems(problems):
    """Return the problems ordered by file, then by line or row."""
    return sorted(problems, key=lambda p: (p.file, p.line or 0, p.row or 0, p.column or "", p.message))


def raise_problems(problems, title, cure="", limit=None):
    """Raise one error that lists all problems; do nothing where there are none.

    Arguments
    ---------
    problems : list of Problem
        What was found.
    title : str
        What was examined; the message begins with it and the number of problems.
    cure : str
        A last line that says what to do.
    limit : int, optional
        List only so many problems; the number is that of all.

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
    shown = list(problems) if limit is None else list(problems)[:limit]
    lines = [f"{title}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    lines += [f"  {problem}" for problem in shown]
    if len(shown) < len(problems):
        lines.append(f"  ... and {len(problems) - len(shown)} more")
    if cure:
        lines.append(cure)
    raise LungSRADError("\n".join(lines))
