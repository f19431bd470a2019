"""Starting weights of an encoder from a file or a web address, checked before they are used."""

from pathlib import Path

from speechbrain.utils.fetching import LocalStrategy, fetch

from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.provenance import file_sha256


def load_pretrained(encoder: Encoder, source: str | Path, folder: str | Path, sha256: str | None = None) -> str:
    """Load published weights into an encoder.

    Arguments
    ---------
    encoder : Encoder
        Its ``load_published_weights`` reads the file.
    source : str or Path
        A file, or an http(s) address that is downloaded into ``folder`` once.
    folder : str or Path
        Where downloads go.
    sha256 : str or None
        The checksum that the file must have; ``None`` accepts any.

    Returns
    -------
    str
        The file's SHA-256.

    Raises
    ------
    LungSRADError
        Where the file is absent, cannot be downloaded, has another checksum, or does not fit the encoder.
    """
    source = str(source)
    if source.startswith(("http://", "https://")):
        path = _download(source, folder)
    else:
        path = Path(source)
        if not path.is_file():
            raise LungSRADError(
                f"pretrained: {path} does not exist; get {encoder.published_weights}, or set --pretrained null to "
                "start from random weights"
            )
    found = file_sha256(path)
    if sha256 is not None and found != sha256.lower():
        raise LungSRADError(f"{path}: its SHA-256 is {found}, expected {sha256}; download it again")
    encoder.load_published_weights(path)
    return found


def _download(address, folder):
    source, name = address.rsplit("/", 1)
    try:
        return Path(fetch(name, source, savedir=folder, local_strategy=LocalStrategy.COPY))
    except Exception as error:
        raise LungSRADError(
            f"pretrained: {address} cannot be downloaded ({error}); download it yourself and give --pretrained FILE"
        ) from error
