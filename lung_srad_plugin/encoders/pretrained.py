"""Starting weights: a file or an address, checked before it is used."""

from pathlib import Path

from speechbrain.utils.fetching import LocalStrategy, fetch

from lung_srad_plugin.encoders.dass.checkpoint import load_dass_checkpoint
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.provenance import file_sha256


def load_pretrained(encoder, source, folder, sha256=None):
    """Fill an encoder with released weights.

    Arguments
    ---------
    encoder : DASSEncoder
        What to fill.
    source : str or Path
        A file, or an http(s) address that is downloaded into ``folder`` once.
    folder : str or Path
        Where downloads go.
    sha256 : str or None
        The checksum that the file must have; ``None`` accepts any and leaves it to the results to state it.

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
                f"pretrained: {path} does not exist; get DASS_medium_v2.pth or DASS_small_v2.pth from "
                "https://github.com/Saurabhbhati/DASS/releases, or set --pretrained null to start from random weights"
            )
    found = file_sha256(path)
    if sha256 is not None and found != sha256.lower():
        raise LungSRADError(f"{path}: its SHA-256 is {found}, expected {sha256}; download it again")
    load_dass_checkpoint(path, encoder)
    return found


def _download(address, folder):
    source, name = address.rsplit("/", 1)
    try:
        return Path(fetch(name, source, savedir=folder, local_strategy=LocalStrategy.COPY))
    except Exception as error:
        raise LungSRADError(
            f"pretrained: {address} cannot be downloaded ({error}); fetch it by other means and give --pretrained FILE"
        ) from error
