"""The files of onnxruntime-web that the page needs: from npm's registry or a folder, of one version, with checksums."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"

# By name in the package's folder ``dist``: SHA-256.
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}

CURE = (
    f"or take them from another machine: npm pack {PACKAGE}@{VERSION}, unpack the file, and name its folder with "
    "--onnxruntime-web"
)
LONGEST_WAIT = 600  # seconds


def read_runtime(folder: str | Path | None = None) -> dict[str, bytes]:
    """Return the files of onnxruntime-web by name, checked.

    Arguments
    ---------
    folder : str or Path, optional
        The unpacked npm package, or its folder ``dist``. By default the package is fetched with ``npm pack``, which
        uses the registry, the proxy and the cache that npm is set up with.

    Raises
    ------
    LungSRADError
        Where npm is not installed or cannot fetch the package; where a file is missing or not that of ``VERSION``.

    Example
    -------
    >>> read_runtime(getfixture("tmp_path"))
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...: no file ort.wasm.bundle.min.mjs; expected the npm package ...
    """
    if folder is None:
        return _check(_fetch(), f"{PACKAGE} from npm")
    folder = Path(folder)
    dist = folder / "dist" if (folder / "dist").is_dir() else folder
    for name in FILES:
        if not (dist / name).is_file():
            raise LungSRADError(f"{folder}: no file {name}; expected the npm package {PACKAGE} {VERSION}, unpacked")
    return _check({name: (dist / name).read_bytes() for name in FILES}, str(folder))


def _check(files: dict[str, bytes], origin: str) -> dict[str, bytes]:
    for name, expected in FILES.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != expected:
            raise LungSRADError(
                f"{origin}: {name} is not that of {PACKAGE} {VERSION} (its SHA-256 differs); expected the package of "
                "that version, unchanged"
            )
    return files


def _fetch() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise LungSRADError(
            f"npm, which fetches {PACKAGE}, is not installed; install Node.js (Debian: apt-get install npm), {CURE}"
        )
    with tempfile.TemporaryDirectory(prefix="lung-srad-") as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", folder]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=LONGEST_WAIT, env=os.environ
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LungSRADError(f"npm cannot fetch {PACKAGE} ({error}); try again later, {CURE}") from None
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            reason = printable((done.stderr.strip().splitlines() or ["no message"])[-1])
            raise LungSRADError(f"npm cannot fetch {PACKAGE} {VERSION} ({reason}); check the network, {CURE}")
        return _unpack(archives[0].read_bytes())


def _unpack(archive: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for name in FILES:
            try:
                file = package.extractfile(f"package/dist/{name}")
            except KeyError:
                continue
            if file is not None:
                found[name] = file.read()
    return found
