"""What the names of recordings end in: the one list that folders are searched by."""

import soundfile

# soundfile names MP3's container, not what its files end in; the others are formats that libsndfile reads. A .raw file
# does not say its rate.
AUDIO_ENDINGS = frozenset(
    {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga", ".opus"}
) - {".raw"}
