"""Where a recording is read from; what is not on this machine is downloaded first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speechbrain.utils.data_utils import split_path
from speechbrain.utils.fetching import FetchConfig, FetchSource, fetch

from lung_srad_plugin.audio.source import AudioSource, audio_source
from lung_srad_plugin.errors import LungSRADError


def fetch_source(
    recording: Any, savedir: str | Path | None, sample_rate: int | None = None, name: str | None = None
) -> AudioSource:
    """Return the source of a recording; of a web address the latest version is downloaded.

    Arguments
    ---------
    recording, savedir, sample_rate, name
        As for ``LungSoundClassifier.classify_file``.

    Raises
    ------
    LungSRADError
        Where it is of a wrong type, or an address cannot be fetched.

    Example
    -------
    >>> fetch_source("breath.wav", savedir=None).name
    'breath.wav'
    """
    is_address = isinstance(recording, str) and recording.startswith(("http:", "https:"))
    if not is_address and not isinstance(recording, FetchSource):
        return audio_source(recording, sample_rate, name)
    if savedir is None:
        raise LungSRADError(f"{recording}: not on this machine; say where to put what is downloaded: savedir=FOLDER")
    source, file = split_path(recording)
    try:
        path = fetch(file, source=source, savedir=savedir, fetch_config=FetchConfig(overwrite=True))
    except (ValueError, OSError) as error:
        raise LungSRADError(f"{recording}: cannot be fetched ({error}); check the address and the network") from error
    return audio_source(path, sample_rate, name or str(recording))
