"""From what names a model to its modules: a local folder, the package, the Hugging Face hub, or a web address."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from speechbrain.utils.fetching import FetchConfig, FetchFrom, FetchSource, LocalStrategy, fetch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import CONFIG, HYPERPARAMS, LABEL_ENCODER, WEIGHTS, read_config
from lung_srad_plugin.export.novelty_file import NOVELTY
from lung_srad_plugin.export.stored_model import StoredModel, read_model
from lung_srad_plugin.inference.starter_model import STARTER, model_path, starter_folder
from lung_srad_plugin.utils.folders import is_folder, nearest_folder, shorten_name
from lung_srad_plugin.utils.hub import HUB_ID, HUB_SCHEME, schemed_hub_id

HUB_TIMEOUT = 10.0  # seconds for the hub to answer the one question whether it has a model


def load_model(
    source: str | Path | FetchSource | None,
    hparams_file: str = HYPERPARAMS,
    overrides: dict | str | None = None,
    overrides_must_match: bool = True,
    savedir: str | Path | None = None,
    local_strategy: LocalStrategy = LocalStrategy.SYMLINK,
    fetch_config: FetchConfig | None = None,
    trust_code: bool = False,
) -> StoredModel:
    """Return the modules and the configuration of a model, wherever it lies.

    Arguments
    ---------
    source, savedir, local_strategy, fetch_config
        As for ``obtain_model``.
    hparams_file, overrides, overrides_must_match, trust_code
        As for ``read_model``.

    Returns
    -------
    StoredModel

    Raises
    ------
    LungSRADError
        Where there is no such model, it cannot be fetched, or its folder is faulty.

    Example
    -------
    >>> load_model("./no/such/folder")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ./no/such/folder: no such folder; expected a model ...
    """
    with obtain_model(source, hparams_file, savedir, local_strategy, fetch_config) as folder:
        return read_model(folder, hparams_file, overrides, overrides_must_match, trust_code)


@contextlib.contextmanager
def obtain_model(
    source: str | Path | FetchSource | None,
    hparams_file: str = HYPERPARAMS,
    savedir: str | Path | None = None,
    local_strategy: LocalStrategy = LocalStrategy.SYMLINK,
    fetch_config: FetchConfig | None = None,
) -> Iterator[Path]:
    """Give the local folder of a model; what is remote is fetched first.

    A local folder is used where it lies: nothing is copied or linked, and the network is not asked. Of a remote model
    the newest files are taken even where ``savedir`` holds older ones, unless the network is not allowed.

    Arguments
    ---------
    source : str, Path, FetchSource or None
        A folder, ``starter``, a hub id ``owner/name``, or an address that starts with http. None and ``starter`` mean
        the model that comes with the package. A ``Path`` is a folder, and so is a text that looks like a path: it
        starts with ``.``, ``/``, ``~`` or a drive letter, has a backslash or more than one slash, or its first part is
        a folder here. ``hf://owner/name`` is the hub's in any case.
    hparams_file : str
        Name of the hyperparameter file.
    savedir : str or Path, optional
        Where to put remote files. None leaves files of the hub in its own cache, and removes others after use.
    local_strategy : LocalStrategy
        How files of the hub get to ``savedir``.
    fetch_config : FetchConfig, optional
        Revision, token and so on. None takes the newest revision, and the hub's login where there is one.

    Raises
    ------
    LungSRADError
        Where there is no such folder, with the nearest one that there is, or it cannot be fetched.
    """
    found = locate(source)
    if found.FetchFrom is FetchFrom.LOCAL:
        yield Path(found.path)
        return
    # Private models of the hub are read with the login where there is one; None is what its package calls that.
    fetch_config = FetchConfig(token=None) if fetch_config is None else fetch_config  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        if found.FetchFrom is FetchFrom.URI and savedir is None:
            savedir = stack.enter_context(tempfile.TemporaryDirectory(prefix="lung-srad-"))
        yield _fetch_model(found, hparams_file, savedir, local_strategy, fetch_config)


def locate(source: str | Path | FetchSource | None) -> FetchSource:
    """Return where a model lies, without asking the network.

    Raises
    ------
    LungSRADError
        Where it can only be a local folder and there is none, with the nearest one that there is; where it is
        ``starter``, and the current folder has something of that name.

    Example
    -------
    >>> locate("owner/name").FetchFrom.name
    'HUGGING_FACE'
    """
    if isinstance(source, FetchSource):
        return source
    if source is None:
        return FetchSource(FetchFrom.LOCAL, str(starter_folder()))
    if source == STARTER:
        return FetchSource(FetchFrom.LOCAL, str(model_path(source)))
    text = os.fspath(source)
    folder = os.path.expanduser(text)  # noqa: PTH111 - the one of pathlib fails for users that do not exist
    if text and is_folder(folder):  # an empty name would be the current directory
        return FetchSource(FetchFrom.LOCAL, folder)
    if isinstance(source, str):
        if text.startswith(("http:", "https:")):
            return FetchSource(FetchFrom.URI, text)
        if hub_id := schemed_hub_id(text):
            return FetchSource(FetchFrom.HUGGING_FACE, hub_id)
        if HUB_ID.fullmatch(text) and not is_folder(text.split("/")[0]):
            near = nearest_folder(text)
            if near is None:
                return FetchSource(FetchFrom.HUGGING_FACE, text)
            raise LungSRADError(
                f"{text}: no such folder; did you mean {near}? If it is a model of the Hugging Face hub, write "
                f"{HUB_SCHEME}{text}"
            )
    near = nearest_folder(folder)
    hint = f"; did you mean {near}?" if near else ""
    raise LungSRADError(
        f"{shorten_name(text)}: no such folder; expected a model that lung-srad export wrote, {STARTER}, or a "
        f"hub id owner/name{hint}"
    )


def _fetch_model(
    source: FetchSource,
    hparams_file: str,
    savedir: str | Path | None,
    local_strategy: LocalStrategy,
    fetch_config: FetchConfig,
) -> Path:
    """Fetch the files of a remote model that are needed to load it, and return their folder."""
    from huggingface_hub import constants

    weights: list[tuple[str, ...]] = [(f"{name}.safetensors", f"{name}.ckpt") for name in WEIGHTS]
    if source.FetchFrom is FetchFrom.HUGGING_FACE and fetch_config.allow_network and not constants.HF_HUB_OFFLINE:
        listed = _ask_hub(source.path, fetch_config)
        weights = [tuple(name for name in names if name in listed) or names[-1:] for names in weights]
    if fetch_config.allow_network:
        fetch_config = replace(fetch_config, overwrite=True)

    def fetch_first(names: tuple[str, ...]) -> Path:
        """Fetch the first of these files that there is."""
        for name in names:
            try:
                return fetch(
                    name,
                    source=source,
                    savedir=savedir,
                    local_strategy=local_strategy,
                    fetch_config=fetch_config,
                )
            except Exception as error:  # of whichever HTTP client the hub's package uses
                failure = error
        raise _not_fetched(source.path, names[-1], failure) from failure

    wanted = [(name,) for name in dict.fromkeys((CONFIG, hparams_file, LABEL_ENCODER))] + weights
    folder = [Path(fetch_first(names)).parent for names in wanted][-1]
    if NOVELTY in read_config(folder).files:
        fetch_first((NOVELTY,))
    return folder


def _ask_hub(name: str, fetch_config: FetchConfig) -> set[str]:
    """Return the names of a model's files on the hub: one request, with a time limit, and no second try."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(name, revision=fetch_config.revision, token=fetch_config.token, timeout=HUB_TIMEOUT)
    except Exception as error:  # of whichever HTTP client the hub's package uses
        raise _not_fetched(name, "its list of files", error) from error
    return {file.rfilename for file in info.siblings or ()}


def _not_fetched(name: str, what: str, error: Exception) -> LungSRADError:
    from huggingface_hub.errors import RepositoryNotFoundError

    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    private = " If it is private, log in with: hf auth login" if isinstance(error, RepositoryNotFoundError) else ""
    return LungSRADError(
        f"{name}: no such folder here, and {what} cannot be fetched from there ({reason}); check the name and the "
        f"network.{private}"
    )
