"""Starting weights of an encoder: a file, a folder, the Hugging Face hub or a web address, checked before use."""

from pathlib import Path

from speechbrain.utils.fetching import FetchFrom, FetchSource, LocalStrategy, fetch

from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.folders import is_folder
from lung_srad_plugin.utils.hub import HUB_ID, schemed_hub_id
from lung_srad_plugin.utils.provenance import file_sha256

# A name that ends so is a file that is not there, never a name on the hub.
_FILE_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")


def load_pretrained(encoder: Encoder, source: str | Path, folder: str | Path, sha256: str | None = None) -> str:
    """Load published weights into an encoder.

    Arguments
    ---------
    encoder : Encoder
        Its ``load_published_weights`` reads the file. Its ``hub_files``, where it has them, are the files of a hub
        repository that are needed, the weights last.
    source : str or Path
        A file; a folder with the hub's files; a name on the hub, ``owner/name`` or ``hf://owner/name``, whose files go
        to the hub's own cache; or an http(s) address, which is downloaded into ``folder`` once.
    folder : str or Path
        Where downloads go.
    sha256 : str or None
        The checksum that the file of weights must have; ``None`` accepts any.

    Returns
    -------
    str
        The SHA-256 of the file of weights.

    Raises
    ------
    LungSRADError
        Where the file is absent, cannot be downloaded, has another checksum, or does not fit the encoder.
    """
    path = obtain_weights(encoder, source, folder)
    found = file_sha256(path)
    if sha256 is not None and found != sha256.lower():
        raise LungSRADError(f"{path}: its SHA-256 is {found}, expected {sha256}; download it again")
    encoder.load_published_weights(path)
    return found


def hub_files(encoder: Encoder | type[Encoder]) -> tuple[str, ...]:
    """Return the files of a hub repository that an encoder needs, the weights last; none where it reads no such."""
    return getattr(encoder, "hub_files", ())


def obtain_weights(encoder: Encoder | type[Encoder], source: str | Path, folder: str | Path) -> Path:
    """Return the local file of published weights, after downloading it where it is remote.

    Arguments
    ---------
    encoder : Encoder or type
        Which weights are wanted: an encoder, or its class.
    source, folder
        As for ``load_pretrained``.

    Raises
    ------
    LungSRADError
        Where the file is absent or cannot be downloaded.
    """
    source = str(source)
    if source.startswith(("http://", "https://")):
        return _download(source, folder)
    path, needed = Path(source), hub_files(encoder)
    if path.is_file():
        return path
    if needed and is_folder(path):
        absent = [name for name in needed if not (path / name).is_file()]
        if absent:
            raise LungSRADError(
                f"pretrained: {path} has no {' and no '.join(absent)}; expected a folder with {' and '.join(needed)}, "
                f"or another name of {encoder.published_weights}"
            )
        return path / needed[-1]
    name = schemed_hub_id(source)
    if name is None and HUB_ID.fullmatch(source) and not source.endswith(_FILE_ENDINGS):
        name = source if needed and not is_folder(path.parts[0]) else None
    if name is not None and needed:
        return _fetch_from_hub(name, needed)
    raise LungSRADError(
        f"pretrained: {path} does not exist; get {encoder.published_weights}, or set --pretrained null to start from "
        "random weights"
    )


def _fetch_from_hub(name, needed):
    try:
        paths = [fetch(file, FetchSource(FetchFrom.HUGGING_FACE, name), savedir=None) for file in needed]
    except Exception as error:  # of whichever HTTP client the hub's package uses
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LungSRADError(
            f"pretrained: {name} cannot be fetched from the Hugging Face hub ({reason}); check the name and the "
            f"network, or download {' and '.join(needed)} of https://huggingface.co/{name} yourself, put "
            f"{'them' if len(needed) > 1 else 'it'} into a folder, and give --pretrained FOLDER"
        ) from error
    return Path(paths[-1])


def _download(address, folder):
    source, name = address.rsplit("/", 1)
    try:
        return Path(fetch(name, source, savedir=folder, local_strategy=LocalStrategy.COPY))
    except Exception as error:
        raise LungSRADError(
            f"pretrained: {address} cannot be downloaded ({error}); download it yourself and give --pretrained FILE"
        ) from error
