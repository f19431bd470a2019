"""From the name of a model to a folder with its files: a local folder, the Hugging Face hub, or a web address."""

import re
from dataclasses import replace
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import NEEDED

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def obtain_model(source, hparams_file, savedir, local_strategy, fetch_config):
    """Return the local folder of a model; what is remote is fetched first.

    A local folder is used where it lies: nothing is copied or linked, and the network is not asked. Of a remote model
    the newest files are taken even where ``savedir`` holds older ones, unless the network is not allowed.

    Arguments
    ---------
    source : str, Path or FetchSource
        A folder, a hub id ``owner/name``, or an address that starts with http.
    hparams_file : str
        Name of the hyperparameter file.
    savedir : str, Path or None
        Where to put remote files. None leaves files of the hub in its own cache.
    local_strategy : LocalStrategy
        How files of the hub get to ``savedir``.
    fetch_config : FetchConfig
        Revision, token and so on.

    Returns
    -------
    Path

    Raises
    ------
    LungSRADError
        Where there is no such folder or it cannot be fetched.
    """
    from speechbrain.utils.fetching import FetchFrom, FetchSource, fetch

    kind, place = source if isinstance(source, FetchSource) else (None, source)
    # An empty name would be the current directory.
    if kind is FetchFrom.LOCAL or (kind is None and str(place) and Path(place).is_dir()):
        return Path(place)
    place = str(place)
    if kind is None:
        if place.startswith(("http:", "https:")):
            kind = FetchFrom.URI
        elif _HUB_ID.fullmatch(place) and not place.startswith("."):
            kind = FetchFrom.HUGGING_FACE
        else:
            raise LungSRADError(
                f"{place or repr(place)}: no such folder; expected a model that lung-srad export wrote, or a hub id "
                "owner/name"
            )
    if fetch_config.allow_network:
        fetch_config = replace(fetch_config, overwrite=True)
    try:
        for name in dict.fromkeys((hparams_file, *NEEDED)):
            path = fetch(
                name,
                source=FetchSource(kind, place),
                savedir=savedir,
                local_strategy=local_strategy,
                fetch_config=fetch_config,
            )
    except (ValueError, OSError) as error:  # the hub's own errors are OSErrors
        reason = str(error).strip().splitlines()[0]
        raise LungSRADError(
            f"{place}: no such folder here, and {name} cannot be fetched from there ({reason}); check the name and the "
            "network"
        ) from error
    return Path(path).parent
