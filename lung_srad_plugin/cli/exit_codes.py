"""Exit codes of the command line."""

FAILED = 1  # some inputs failed; standard error lists them
MISUSED = 2  # the command was used wrongly, or something it needs is at fault; standard error says what
INTERRUPTED = 130  # what shells report of a program that was interrupted
