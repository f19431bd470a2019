"""The exception for mistakes that a user can correct."""


class LungSRADError(ValueError):
    """A mistake in a file, a setting or a call that the user can correct.

    The message names the file, row or key, what was expected, and the cure. The command line prints only the message;
    other exceptions are bugs of this package and show a traceback.

    Example
    -------
    >>> from lung_srad_plugin import LungSRADError
    >>> raise LungSRADError("train.csv, row 3, column 'label': got 'rhonchi'; expected normal or crackle")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: train.csv, row 3, column 'label': got 'rhonchi'; expected normal or crackle
    """
