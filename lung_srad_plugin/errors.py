"""The one exception for mistakes that a user can mend."""


class LungSRADError(ValueError):
    """A mistake in a file, a setting or a call, told so that it can be mended.

    The message names the file, row or key at fault, says what was expected and how to cure it. The
    command line prints the message alone; only other exceptions, which are our bugs, show a traceback.

    Example
    -------
    >>> from lung_srad_plugin import LungSRADError
    >>> raise LungSRADError("train.csv, row 3, column 'label': got 'rhonchi'; expected normal or crackle")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: train.csv, row 3, column 'label': got 'rhonchi'; expected normal or crackle
    """
