"""What a layer's mixing over positions does to slow and fast variation, by frequency."""

import torch

from lung_srad_plugin.errors import LungSRADError


def spectral_response(mixing, frequencies):
    """Measure how strongly a mixing matrix passes on each of the lowest frequencies.

    With F the discrete Fourier transform over the L positions, ``F A F^-1`` is the mixing matrix A in the frequency
    domain: its entry (i, j) says how much of frequency j comes out as frequency i. The response at i is the mean of the
    magnitudes over j, scaled so that the frequencies asked for span 0 to 1 (all 0 where they are equal).

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
    if mixing.dim() != 2 or mixing.shape[0] != mixing.shape[1]:
        raise LungSRADError(f"mixing of shape {tuple(mixing.shape)}: expected a square matrix (positions, positions)")
    if not 1 <= frequencies <= len(mixing):
        raise LungSRADError(f"frequencies={frequencies}: {len(mixing)} positions have 1 to {len(mixing)} of them")
    in_frequency = torch.fft.ifft(torch.fft.fft(mixing.double(), dim=0), dim=1)
    response = in_frequency.abs().mean(dim=1)[:frequencies]
    low, high = response.min(), response.max()
    return (response - low) / (high - low) if high > low else torch.zeros_like(response)
