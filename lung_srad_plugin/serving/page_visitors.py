"""The files that visitors of the page bring, which are removed when they leave."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


class VisitorFiles:
    """Knows whose files lie on the disk. Two visitors may bring the same file: it goes with the last of them.

    Safe to be used by many threads.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> path.touch()
    >>> files = VisitorFiles()
    >>> for visitor in ("anna", "ben"):
    ...     files.keep(visitor, [path])
    >>> files.remove("anna")
    >>> path.exists()
    True
    >>> files.remove("ben")
    >>> path.exists()
    False
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[str, set[Path]] = defaultdict(set)

    def keep(self, visitor: str, paths: Iterable[Path]) -> None:
        """Note that files are a visitor's."""
        with self._lock:
            self._paths[visitor].update(paths)

    def remove(self, visitor: str, but: Iterable[Path] = ()) -> None:
        """Remove the files of a visitor, but for those that are named.

        Arguments
        ---------
        visitor : str
        but : iterable of Path
            Files that the visitor still needs.
        """
        kept = set(but)
        with self._lock:
            mine = self._paths.pop(visitor, set())
            if mine & kept:
                self._paths[visitor] = mine & kept
            others = set().union(*self._paths.values())
            for path in mine - others:
                path.unlink(missing_ok=True)
                # Gradio gives each file a folder of its own.
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
