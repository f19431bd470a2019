"""A digest of the kernels' source files, by which numba's cache of compiled kernels notices that one has changed.

Numba looks at the file of the kernel itself and at the types of its arguments; the value of a default argument that is
left out counts as its type. Kernels therefore have ``sources=SOURCES``; without it an updated package would
run code that was compiled from an older one.
"""

import hashlib
from pathlib import Path


def _digest_sources():
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


SOURCES = _digest_sources()
"""A number that stands for the text of the files from which kernels are compiled."""
