"""Progress bars: the same for every command, on standard error, and none where that is no terminal."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")


class RateColumn(ProgressColumn):
    """How many are done in a second.

    Example
    -------
    >>> RateColumn().render(Task(0, "recordings", None, 0, _get_time=lambda: 0.0))
    <text '' [] ''>
    """

    def render(self, task: Task) -> Text:
        """Return the rate, blank as long as it is not known."""
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


def progress_bars(counts: bool = True, rate: bool = False) -> Progress:
    """Return rich's progress bars, to be used as a context; where standard error is no terminal they show nothing.

    Arguments
    ---------
    counts : bool
        Whether to show "3/10" beside a bar; else its share in percent.
    rate : bool
        Whether to show how many are done in a second.

    Example
    -------
    >>> with progress_bars() as progress:
    ...     task = progress.add_task("recordings", total=2)
    ...     progress.advance(task)
    """
    console = Console(stderr=True)
    done = MofNCompleteColumn() if counts else TaskProgressColumn()
    # Descriptions hold names of files, which are no markup.
    rates = (RateColumn(),) if rate else ()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), done, *rates, TimeRemainingColumn())
    # On a terminal, results are printed above the bar; elsewhere they must go where standard output goes.
    return Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    )


def track(items: Sequence[Item], description: str, show: bool = True) -> Iterator[Item]:
    """Yield the items with a bar that shows how many are done.

    Example
    -------
    >>> list(track(["a", "b"], "Reading recordings"))
    ['a', 'b']
    """
    if not show:
        yield from items
        return
    with progress_bars() as progress:
        yield from progress.track(items, description=description)
