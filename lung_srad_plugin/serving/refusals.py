"""Why a service refuses a recording, each reason with the HTTP status that says so."""

from lung_srad_plugin.errors import LungSRADError


class Refusal(LungSRADError):
    """A recording that is not classified, for a reason the client can act on.

    Attributes
    ----------
    status : int
        Of HTTP.
    reason : str
        One word for programs.
    retry_after : int or None
        Seconds after which another try makes sense.
    """

    status = 422
    reason = "unusable"
    retry_after: int | None = None


class TooLarge(Refusal):
    """More bytes than an upload may have."""

    status = 413
    reason = "too_large"


class TooLong(Refusal):
    """A recording that lasts longer than the service classifies."""

    reason = "too_long"


class NoRecording(Refusal):
    """A request that holds no recording, more than one, or what the service does not read."""

    reason = "no_recording"


class NoUpload(Refusal):
    """A request that is no upload of a file."""

    status = 415
    reason = "no_upload"


class UploadTooSlow(Refusal):
    """An upload that did not arrive in time."""

    status = 408
    reason = "upload_too_slow"


class TooManyRequests(Refusal):
    """A client that asks more often than it may."""

    status = 429
    reason = "too_many_requests"

    def __init__(self, message: str, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class ServiceFull(Refusal):
    """As many recordings at work and waiting as there may be."""

    status = 503
    reason = "full"
    retry_after = 5


class OutOfTime(Refusal):
    """A classification that takes longer than one may."""

    status = 503
    reason = "out_of_time"


class Stopped(Refusal):
    """A classification whose client has gone, or whose service ends."""

    status = 503
    reason = "stopped"
