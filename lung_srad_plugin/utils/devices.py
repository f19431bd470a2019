"""Devices and precisions: which there are, and whether a named device can be used here."""

from lung_srad_plugin.errors import LungSRADError

PRECISIONS = ("fp32", "bf16", "fp16")


def check_device(device: str) -> None:
    """Refuse a device that does not exist here.

    Arguments
    ---------
    device : str
        "cpu", "cuda", "cuda:1", "mps" or another that torch knows.

    Raises
    ------
    LungSRADError
        With torch's reason and what to use instead.

    Example
    -------
    >>> check_device("cpu")
    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: device 'gpu' cannot be used (...); use 'cpu' ...
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA answers with an assertion
        reason = str(error).strip().splitlines()[0]
        raise LungSRADError(
            f"device {device!r} cannot be used ({reason}); use 'cpu', or one of a machine that has it"
        ) from None
