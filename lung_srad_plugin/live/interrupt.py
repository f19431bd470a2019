"""Ctrl-C as the wish to end: never in the middle of a computation, at once while waiting."""

import signal
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Interrupt:
    """Takes Ctrl-C while it is a context; only in the main thread.

    Attributes
    ----------
    pressed : bool

    Example
    -------
    >>> with Interrupt() as interrupt:
    ...     interrupt.wait_for(iter([1])), interrupt.wait_for(iter([])), interrupt.pressed
    (1, None, False)
    """

    def __init__(self):
        self.pressed = False
        self._waiting = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _take(self, number, frame):
        del number, frame
        again, self.pressed = self.pressed, True
        if self._waiting or again:  # who presses twice does not want to wait
            raise KeyboardInterrupt

    def wait_for(self, items: Iterator[Item]) -> Item | None:
        """Return the next item; None where there is none any more, or Ctrl-C was pressed while waiting."""
        self._waiting = True
        try:
            return next(items, None)
        except KeyboardInterrupt:
            self.pressed = True
            return None
        finally:
            self._waiting = False
