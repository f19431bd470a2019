"""Absolute paths in files that are passed on: traces of the machine that wrote them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# A path of at least two names that begins with a slash, a drive or ~, and is no part of an address or of a word.
_ABSOLUTE_PATH = re.compile(r"""(?<![\w:/.<~-])(?:~?/[\w.+-]+/[\w.+-]|[A-Za-z]:\\)""")


def find_machine_paths(files: Iterable[str | Path], known: Sequence[str] = ()) -> list[str]:
    """Return a sentence on each file that holds an absolute path.

    Arguments
    ---------
    files : iterable of (str or Path)
    known : sequence of str
        Paths of this machine, which are looked for in files that are no text too.

    Example
    -------
    >>> path = getfixture("tmp_path") / "card.md"
    >>> _ = path.write_text("See https://example.org/a/b, and Se/Sp. In /home/me/data.")
    >>> find_machine_paths([path])
    ["...card.md holds the path '/home/me/data.'"]
    """
    found = []
    for path in map(Path, files):
        content = path.read_bytes()
        hits = [name for name in known if name.encode() in content]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        hits += [text[hit.start() :].split(maxsplit=1)[0][:80] for hit in _ABSOLUTE_PATH.finditer(text)]
        if hits:
            found.append(f"{path} holds the path {hits[0]!r}")
    return found
