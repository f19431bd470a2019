"""Load the public weights of DASS, after checking every key and every shape.

They exist in two layouts: the release's ``.pth`` file and the ``.safetensors`` file of the Hugging Face hub. The
encoder has the release's names; here each is turned into the name and the shape it has in the file.
"""

from pathlib import Path

import torch

from lung_srad_plugin.errors import LungSRADError

_RELEASED_PREFIX = "module.v."
_HUB_PREFIX = "dass."
_HUB_RENAMES = {
    "patch_embed.0.": "patch_embeddings.projection.0.",
    "patch_embed.2.": "patch_embeddings.projection.1.",
    "patch_embed.5.": "patch_embeddings.projection.3.",
    "patch_embed.7.": "patch_embeddings.projection.4.",
    ".downsample.1.": ".downsample.down.",
    ".downsample.3.": ".downsample.norm.",
    ".x_proj_weight": ".x_proj.weight",
    ".dt_projs_weight": ".dt_projs.weight",
}
_SHOWN = 8


def load_dass_checkpoint(
    path: str | Path, encoder: torch.nn.Module, head: torch.nn.Linear | None = None
) -> torch.nn.Module:
    """Load public DASS weights into an encoder, and into a linear head where one is given.

    Nothing is changed unless everything fits: each weight of the encoder is in the file with the right shape, and the
    file has no other. The file's head is ignored where ``head`` is None.

    Arguments
    ---------
    path : str or Path
        A file in the release's layout (keys ``module.v.*``) or the hub's (keys ``dass.*``); ``.safetensors``, or
        otherwise a ``torch.save`` file.
    encoder : DASSEncoder
        Of the sizes of the file; smoothed blocks make no difference.
    head : torch.nn.Linear or None
        (D, classes of the file), loaded as well.

    Returns
    -------
    DASSEncoder
        The encoder.

    Raises
    ------
    LungSRADError
        Where the file is absent, unreadable or of neither layout, or names are missing, unexpected or of another shape;
        the message lists them.

    Example
    -------
    >>> from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
    >>> load_dass_checkpoint("DASS_medium_v2.pth", DASSEncoder([1], [16]))
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: DASS weights DASS_medium_v2.pth not found; ...
    """
    stored = _read(Path(path))
    layout = _layout_of(path, stored)
    parts = {"": encoder} if head is None else {"": encoder, "head.": head}
    ours = {prefix + name: value for prefix, part in parts.items() for name, value in part.state_dict().items()}
    names = {name: file_name(name, layout) for name in ours}
    shapes = {names[name]: file_shape(name, value.shape, layout) for name, value in ours.items()}
    if any(name.endswith("running_mean") for name in names):
        raise LungSRADError(f"{path}: published weights have norm='layer'; this encoder has norm='batch'")
    ignored = () if head is not None else (file_name("head.", layout),)
    _check(path, {name: value for name, value in stored.items() if not name.startswith(ignored)}, shapes)
    for prefix, part in parts.items():
        part.load_state_dict(
            {name: stored[names[prefix + name]].reshape(value.shape) for name, value in part.state_dict().items()}
        )
    return encoder


def file_name(name: str, layout: str) -> str:
    """Turn a weight's name in the encoder (or ``head.*``) into its name in a file of this layout.

    Arguments
    ---------
    name : str
        Such as ``"norm.weight"``.
    layout : str
        ``"released"`` or ``"hub"``.

    Returns
    -------
    str

    Example
    -------
    >>> file_name("norm.weight", "released"), file_name("norm.weight", "hub")
    ('module.v.classifier.norm.weight', 'dass.norm.weight')
    """
    if layout == "released":
        in_classifier = name.startswith(("norm.", "head."))
        return _RELEASED_PREFIX + ("classifier." if in_classifier else "") + name
    if name.startswith("head."):
        return name
    for ours, theirs in _HUB_RENAMES.items():
        name = name.replace(ours, theirs)
    return _HUB_PREFIX + name


def file_shape(name: str, shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """Return the shape that a weight of this name and shape in the encoder has in a file of this layout.

    The hub's layout joins the four traversals of the two projections into one matrix.

    Arguments
    ---------
    name : str
        Name in the encoder.
    shape : tuple of int
        Shape in the encoder.
    layout : str
        ``"released"`` or ``"hub"``.

    Returns
    -------
    tuple of int

    Example
    -------
    >>> file_shape("layers.0.blocks.0.op.x_proj_weight", (4, 8, 96), "hub")
    (32, 96)
    """
    if layout == "hub" and name.endswith((".x_proj_weight", ".dt_projs_weight")):
        return (shape[0] * shape[1], shape[2])
    return tuple(shape)


def _read(path):
    if not path.is_file():
        raise LungSRADError(
            f"DASS weights {path} not found; give the path of DASS_medium_v2.pth (DASS release v0.2) or of the hub's "
            "model.safetensors"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file raises any of a dozen exceptions
        kind = "safetensors" if path.suffix == ".safetensors" else "torch"
        raise LungSRADError(
            f"DASS weights {path} are not a readable {kind} file ({type(error).__name__}); download it again"
        ) from error
    if not isinstance(stored, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in stored.items()
    ):
        raise LungSRADError(f"DASS weights {path}: expected a dictionary of names and tensors and nothing else")
    return stored


def _layout_of(path, stored):
    known = {
        layout: sum(name.startswith(prefix) for name in stored)
        for layout, prefix in (("released", _RELEASED_PREFIX), ("hub", _HUB_PREFIX))
    }
    if any(known.values()):
        return max(known, key=known.get)
    raise LungSRADError(
        f"DASS weights {path}: expected names that start with {_RELEASED_PREFIX} (the release) or {_HUB_PREFIX} "
        f"(the hub), but it has {_listed(stored)}"
    )


def _check(path, stored, shapes):
    missing = [name for name in shapes if name not in stored]
    unexpected = [name for name in stored if name not in shapes]
    misshapen = [
        f"{name} {tuple(stored[name].shape)} instead of {shape}"
        for name, shape in shapes.items()
        if name in stored and tuple(stored[name].shape) != shape
    ]
    problems = [
        f"{what}: {_listed(found)}"
        for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if found
    ]
    if problems:
        raise LungSRADError(
            f"DASS weights {path} do not fit this encoder; {'; '.join(problems)}. Choose the encoder and head of the "
            "file's size, such as DASSEncoder.medium() for DASS_medium_v2.pth"
        )


def _listed(names):
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"
