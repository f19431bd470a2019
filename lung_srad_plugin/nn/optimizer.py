"""The optimiser of an experiment, chosen by its name."""

from collections.abc import Iterable

import torch

from lung_srad_plugin.errors import LungSRADError

OPTIMIZERS = ("Adam", "AdamW", "SGD")


def make_optimizer(
    params: Iterable, name: str = "Adam", lr: float = 5e-5, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Return an optimiser of ``torch.optim``.

    In a yaml file: ``opt_class: !name:lung_srad_plugin.make_optimizer`` with these arguments below it. The class is an
    argument, since an override of a yaml mapping keeps the mapping's own tag.

    Arguments
    ---------
    params : iterable
        Parameters or groups of them.
    name : str
        One of ``OPTIMIZERS``. AdamW decays weights apart from the gradient, Adam through it.
    lr : float
        The learning rate.
    weight_decay : float
        The weight decay.

    Raises
    ------
    LungSRADError
        Where the name is unknown.

    Example
    -------
    >>> make_optimizer([torch.nn.Parameter(torch.zeros(2))], "AdamW", lr=0.1, weight_decay=0.05).defaults["lr"]
    0.1
    """
    if name not in OPTIMIZERS:
        raise LungSRADError(f"optimizer {name!r} is unknown; expected one of {', '.join(OPTIMIZERS)}")
    return getattr(torch.optim, name)(params, lr=lr, weight_decay=weight_decay, fused=True)
