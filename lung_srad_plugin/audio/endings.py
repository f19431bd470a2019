"""What the names of recordings end in: the one list that folders are searched by."""

import soundfile

# soundfile names MP3's container, not what its files end in; the others are formats that libsndfile reads. A .raw file
# does not say its rate.
_LIBSNDFILE = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga", ".opus"}
# Of phones, browsers and office programs; PyAV reads them. Without it each is an error that names the cure.
_PYAV = {".m4a", ".mp4", ".aac", ".3gp", ".3g2", ".amr", ".awb", ".webm", ".weba", ".mka", ".mkv", ".mov", ".wma"}
AUDIO_ENDINGS = frozenset((_LIBSNDFILE | _PYAV) - {".raw"})
