"""Names on the Hugging Face hub: which texts are one, and what looks like a path instead."""

import re

HUB_SCHEME = "hf://"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
"""Whatever else a path may look like is no hub id: a dot or ~ first, a drive, a backslash, a second slash."""


def schemed_hub_id(text: str) -> str | None:
    """Return the hub id of ``hf://owner/name``, None for any other text.

    Example
    -------
    >>> schemed_hub_id("hf://owner/name"), schemed_hub_id("owner/name")
    ('owner/name', None)
    """
    name = text.removeprefix(HUB_SCHEME)
    return name if name != text and HUB_ID.fullmatch(name) else None
