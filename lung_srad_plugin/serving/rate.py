"""How often each client may ask: a bucket of tokens for each, of which one request takes one."""

import math
import threading
import time
from collections import OrderedDict

# Beyond this many, those that asked longest ago are forgotten.
MAX_CLIENTS = 10_000


class RateLimit:
    """Requests a minute for each client; as many at once as a minute allows.

    Arguments
    ---------
    rate : int
        Requests a minute; 0 for no limit.

    Example
    -------
    >>> limit = RateLimit(2)
    >>> [limit.take("a", now=0.0), limit.take("a", now=0.0), limit.take("a", now=10.0), limit.take("b", now=10.0)]
    [0, 0, 20, 0]
    """

    def __init__(self, rate: int):
        self.rate = rate
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client: tokens left, and when

    def take(self, client: str, now: float | None = None) -> int:
        """Take a token of a client.

        Arguments
        ---------
        client : str
            Its address.
        now : float, optional
            Seconds of a clock that only goes forward.

        Returns
        -------
        int
            0 where there was one; else the seconds until there will be.
        """
        if self.rate == 0:
            return 0
        now = time.monotonic() if now is None else now
        with self._lock:
            left, then = self._tokens.pop(client, (float(self.rate), now))
            left = min(self.rate, left + (now - then) * self.rate / 60)
            allowed = left >= 1
            self._tokens[client] = (left - allowed, now)
            while len(self._tokens) > MAX_CLIENTS:
                self._tokens.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) * 60 / self.rate - 1e-6)
