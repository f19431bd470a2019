"""The spectral response of a mixing matrix: how strongly a layer passes on each spatial frequency."""

from collections.abc import Sequence

import torch

from lung_srad_plugin.errors import LungSRADError

_BLOCK = 512  # columns or rows that are transformed at a time


def spectral_response(mixing: torch.Tensor, frequencies: int) -> torch.Tensor:
    """Measure how strongly a mixing matrix passes on each of the lowest frequencies.

    With F the discrete Fourier transform over the L positions, ``F A F^-1`` is the mixing matrix A in the frequency
    domain: its entry (i, j) says how much of frequency j comes out as frequency i. The response at i is the mean of the
    magnitudes over j, scaled so that the returned values span 0 to 1 (all 0 where they are equal).

    Arguments
    ---------
    mixing : torch.Tensor
        (L,L): output position by input position.
    frequencies : int
        How many DFT bins to return, counted from the constant one: bins 0, ..., frequencies-1 in cycles per L
        positions. ``L // 2 + 1`` reaches the highest frequency there is.

    Returns
    -------
    torch.Tensor
        (frequencies,), float64, between 0 and 1.

    Raises
    ------
    LungSRADError
        Where the matrix is not square or the number of bins is not in 1, ..., L.

    Example
    -------
    >>> average = torch.full((8, 8), 1 / 8)
    >>> spectral_response(average, frequencies=5)
    tensor([1., 0., 0., 0., 0.], dtype=torch.float64)
    """
    _check_square(mixing)
    if not 1 <= frequencies <= len(mixing):
        raise LungSRADError(f"frequencies={frequencies}: {len(mixing)} positions have 1 to {len(mixing)} of them")
    response = unscaled_response(mixing, (len(mixing),))
    bins = torch.arange(frequencies)
    return _scaled(response[torch.minimum(bins, len(mixing) - bins)])


def spectral_response_2d(
    mixing: torch.Tensor, size: tuple[int, int], frequencies: tuple[int, int] | None = None
) -> torch.Tensor:
    """Measure how strongly a mixing matrix of a map passes on each pair of frequencies along its two axes.

    The positions of the (H, W) map are numbered row by row. With F the two-dimensional discrete Fourier transform over
    them, ``F A F^-1`` is the mixing matrix in the frequency domain, and the response at a pair of frequencies is the
    mean of the magnitudes in its row, as in ``spectral_response``. The two directions of a diagonal wave, frequencies
    (i, j) and (i, -j), are averaged.

    Arguments
    ---------
    mixing : torch.Tensor
        (H W, H W): output position by input position.
    size : (int, int)
        (H, W): the map's positions along frequency and along time.
    frequencies : (int, int) or None
        How many DFT bins to return along each axis, counted from the constant one; None for all up to the highest,
        ``H // 2 + 1`` and ``W // 2 + 1``.

    Returns
    -------
    torch.Tensor
        (bins along frequency, bins along time), float64, between 0 and 1: row i, column j is the response to i cycles
        per H positions along the frequency axis and j cycles per W positions along time. Its first column is what
        varies over the frequency axis alone, its first row what varies over time alone.

    Raises
    ------
    LungSRADError
        Where the matrix is not that of a map of this size or a number of bins is not in 1, ..., ``H // 2 + 1`` or
        ``W // 2 + 1``.

    Example
    -------
    >>> mean_over_time = torch.block_diag(torch.full((4, 4), 1 / 4), torch.full((4, 4), 1 / 4))
    >>> spectral_response_2d(mean_over_time, size=(2, 4))
    tensor([[1., 0., 0.],
            [1., 0., 0.]], dtype=torch.float64)
    """
    _check_square(mixing)
    height, width = size
    if height < 1 or width < 1 or height * width != len(mixing):
        raise LungSRADError(f"size={tuple(size)}: the mixing matrix has {len(mixing)} positions")
    highest = height // 2 + 1, width // 2 + 1
    wanted = highest if frequencies is None else tuple(frequencies)
    if not (1 <= wanted[0] <= highest[0] and 1 <= wanted[1] <= highest[1]):
        raise LungSRADError(
            f"frequencies={wanted}: a map of size {tuple(size)} has 1 to {highest[0]} and 1 to {highest[1]} of them"
        )
    return _scaled(unscaled_response(mixing, (height, width))[: wanted[0], : wanted[1]])


def unscaled_response(mixing: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return the sums of magnitudes that ``spectral_response`` and ``spectral_response_2d`` scale between 0 and 1.

    An identity has 1 at every frequency, a circular filter the magnitude of its frequency response. Unlike scaled ones,
    these values of two layers, or of one layer before and after smoothing, can be compared.

    Arguments
    ---------
    mixing : torch.Tensor
        (L,L): output position by input position.
    size : sequence of int
        ``(L,)`` for frequencies along the positions in a row, ``(H, W)`` for those of a map of L = H W positions.

    Returns
    -------
    torch.Tensor
        (L // 2 + 1,) or (H // 2 + 1, W // 2 + 1), float64.

    Example
    -------
    >>> unscaled_response(2 * torch.eye(6), (2, 3))
    tensor([[2., 2.],
            [2., 2.]], dtype=torch.float64)
    """
    length = len(mixing)
    axes = tuple(range(len(size)))
    # The matrix is real, so half of the output frequencies are the mirror image of the others. In blocks, because the
    # transform of 8192 positions takes half a gigabyte.
    shape = (*size[:-1], size[-1] // 2 + 1)
    by_output = torch.empty(*shape, length, dtype=torch.complex128, device=mixing.device)
    for first in range(0, length, _BLOCK):
        columns = mixing[:, first : first + _BLOCK].double().reshape(*size, -1)
        by_output[..., first : first + _BLOCK] = torch.fft.rfftn(columns, dim=axes)
    input_axes = tuple(range(1, len(size) + 1))
    rows = [
        torch.fft.fftn(part.view(-1, *size), dim=input_axes).abs().flatten(1).mean(dim=1)
        for part in by_output.flatten(0, -2).split(_BLOCK)
    ]
    response = torch.cat(rows).view(shape)
    if len(size) == 1:
        return response
    # Row -i holds the waves of frequencies (i, -j).
    return ((response + response.roll(-1, dims=0).flip(0)) / 2)[: size[0] // 2 + 1]


def along_axes(response: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the response along the frequency axis and that along the time axis, each a mean over the other axis.

    Every wave of the Fourier transform counts once, so a bin that stands for several has their weight.

    Arguments
    ---------
    response : torch.Tensor
        (H // 2 + 1, W // 2 + 1), as of ``unscaled_response``.
    size : (int, int)
        (H, W).

    Returns
    -------
    torch.Tensor, torch.Tensor
        (H // 2 + 1,) and (W // 2 + 1,).

    Example
    -------
    >>> along_axes(torch.tensor([[4.0, 1.0], [2.0, 2.0]]), size=(2, 3))
    (tensor([2., 2.], dtype=torch.float64), tensor([3.0000, 1.5000], dtype=torch.float64))
    """
    over_frequency, over_time = multiplicity(size[0]), multiplicity(size[1])
    response = response.double().cpu()
    return response @ over_time / over_time.sum(), over_frequency @ response / over_frequency.sum()


def multiplicity(length: int) -> torch.Tensor:
    """Return how many frequencies of the whole transform each bin of its first half stands for.

    Example
    -------
    >>> multiplicity(4), multiplicity(5)
    (tensor([1., 2., 1.], dtype=torch.float64), tensor([1., 2., 2.], dtype=torch.float64))
    """
    counts = torch.full((length // 2 + 1,), 2.0, dtype=torch.float64)
    counts[0] = 1
    if length % 2 == 0:
        counts[-1] = 1
    return counts


def _check_square(mixing):
    if mixing.dim() != 2 or mixing.shape[0] != mixing.shape[1]:
        raise LungSRADError(f"mixing of shape {tuple(mixing.shape)}: expected a square matrix (positions, positions)")


def _scaled(response):
    low, high = response.min(), response.max()
    return (response - low) / (high - low) if high > low else torch.zeros_like(response)
