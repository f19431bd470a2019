"""When a piece of work must end, and whether it will by the pace it has."""

import time
from collections.abc import Callable

from lung_srad_plugin.serving.refusals import OutOfTime

PACE_SECONDS = 5.0  # the pace is known after this long
# The pace of a busy machine changes: refused is what would be late even if it went this many times as fast.
MARGIN = 1.5


class Deadline:
    """The end of the time that a piece of work has. What cannot end in time is refused as soon as its pace is known.

    Arguments
    ---------
    seconds : float
        From now on.
    clock : callable
        Seconds of a clock that only goes forward.

    Example
    -------
    >>> now = iter([0.0, 2.0, 3.0, 8.0])
    >>> deadline = Deadline(20, clock=lambda: next(now))
    >>> deadline.check()
    >>> deadline.check(done=10, total=200)
    >>> deadline.check(done=30, total=200)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.serving.refusals.OutOfTime: the work would take about 50 s on this machine, more than the 20 s ...
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self.seconds = seconds
        self._clock = clock
        self._begin = clock()
        self._first: tuple[float, int] | None = None  # when the first part was done, and which

    def check(self, done: int = 0, total: int = 0) -> None:
        """Refuse what is late, or will be.

        Arguments
        ---------
        done, total : int
            Parts of the work; 0 and 0 where they are not known.

        Raises
        ------
        OutOfTime
        """
        now = self._clock()
        spent = now - self._begin
        cure = "send a shorter recording, or choose a longer hop"
        if spent > self.seconds:
            raise OutOfTime(f"the work took longer than the {self.seconds:g} s that this service has for it; {cure}")
        if not done:
            return
        if self._first is None:
            self._first = now, done
            return
        then, before = self._first
        if now - then < PACE_SECONDS or done <= before:
            return
        left = (total - done) * (now - then) / (done - before)
        if spent + left / MARGIN > self.seconds:
            raise OutOfTime(
                f"the work would take about {spent + left:.0f} s on this machine, more than the {self.seconds:g} s "
                f"that this service has for it; {cure}"
            )
