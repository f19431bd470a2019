"""Options that several commands share, and options that take one of several words."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

# As analysis.explain.METHODS, whose import takes seconds; a test compares them.
EXPLAIN_METHODS = ("mixing", "gradients", "occlusion")

TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Let the folder call anything, not only what lung-srad itself writes: it may run any code.",
    ),
]


def choice(values: Sequence[str], help: str) -> Any:
    """Return an option that takes one of ``values``, which come from the constant that defines them.

    Arguments
    ---------
    values : sequence of str
        A hyphen on the command line may stand for an underscore.
    help : str

    Example
    -------
    >>> choice(("both", "leave_out"), "What else.").metavar
    '[both|leave_out]'
    """

    def parse(word: str) -> str:
        for value in values:
            if word.replace("_", "-") == value.replace("_", "-"):
                return value
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(values)}.")

    return typer.Option(parser=parse, metavar=f"[{'|'.join(values)}]", help=help)
