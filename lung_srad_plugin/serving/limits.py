"""What a service accepts: size, length, number at work and waiting, time, and how often one client may ask."""

from dataclasses import dataclass, fields

from lung_srad_plugin.errors import LungSRADError

# Requests a minute of one client, where others than this machine can reach the service.
SHARED_RATE = 60
MEGABYTE = 1_000_000
# Samples that a recording of the greatest length may hold a second, over all channels: two channels at 192 kHz.
SAMPLES_PER_SECOND = 2 * 192_000


@dataclass(frozen=True)
class ServingLimits:
    """Limits of a service, the same for the HTTP API and the page.

    Arguments
    ---------
    megabytes : float
        Size of an upload, in 1e6 bytes.
    seconds : float
        Length of a recording.
    at_work : int
        Recordings that are classified at once.
    waiting : int
        Recordings that wait while others are at work.
    work_seconds : float
        For the classification of one recording, once it is at work; by default as long as the longest one lasts. What
        will take longer is refused as soon as its pace is known.
    upload_seconds : float
        For an upload to arrive.
    rate : int
        Uploads a minute of one client; 0 for as many as it likes.

    Raises
    ------
    LungSRADError
        Where a limit is not positive, or a number is negative.

    Example
    -------
    >>> ServingLimits(megabytes=5).bytes
    5000000
    """

    megabytes: float = 50.0
    seconds: float = 600.0
    at_work: int = 1
    waiting: int = 16
    work_seconds: float = 600.0
    upload_seconds: float = 60.0
    rate: int = 0

    def __post_init__(self):
        for limit in fields(self):
            value, least = getattr(self, limit.name), "at least 0" if limit.name in ("waiting", "rate") else "above 0"
            if value < 0 or (value == 0 and least == "above 0") or not value < float("inf"):
                raise LungSRADError(f"limit {limit.name}={value!r}; expected a number {least}")

    @property
    def bytes(self) -> int:
        """Size of an upload in bytes."""
        return int(self.megabytes * MEGABYTE)
