"""Smoothing in a mixing matrix: the matrix of what a layer and the Gaussian after it do together."""

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.gaussian import gaussian_smooth


def smooth_mixing(
    mixing: torch.Tensor, width: int, kernel_size: int = 5, sigma: float = 3.0, padding: str = "zeros"
) -> torch.Tensor:
    """Multiply the matrix of Gaussian smoothing with mixing matrices: first the layer mixes, then its map is smoothed.

    Arguments
    ---------
    mixing : torch.Tensor
        (..., rows, L): output by input position; the outputs are whole rows of a map, read row by row.
    width : int
        W of the map.
    kernel_size, sigma, padding
        As for ``gaussian_smooth``.

    Returns
    -------
    torch.Tensor
        Of the shape of ``mixing``.

    Raises
    ------
    LungSRADError
        Where the outputs are not whole rows of such a map, or the Gaussian does not exist.

    Example
    -------
    >>> smooth_mixing(torch.eye(3), width=3, kernel_size=3, sigma=1000.0) * 9
    tensor([[1.0000, 1.0000, 0.0000],
            [1.0000, 1.0000, 1.0000],
            [0.0000, 1.0000, 1.0000]])
    """
    if mixing.shape[-2] % width:
        raise LungSRADError(f"mixing of shape {tuple(mixing.shape)}: its rows are no map of width {width}")
    by_input = mixing.reshape(-1, *mixing.shape[-2:]).unflatten(1, (-1, width)).permute(0, 3, 1, 2)
    smoothed = gaussian_smooth(by_input, kernel_size, sigma, padding)
    return smoothed.permute(0, 2, 3, 1).reshape(mixing.shape)
