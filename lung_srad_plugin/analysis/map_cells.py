"""The cells that a spectrogram is divided into where maps are compared: rows of mel bins by columns of frames."""

from typing import NamedTuple

import torch

from lung_srad_plugin.errors import LungSRADError

ROWS, CELL_SECONDS = 8, 0.2  # by default


class MapCells(NamedTuple):
    """Which cell each position of features (T,F) belongs to; cells are numbered row by row, from low frequencies up.

    Arguments
    ---------
    rows, columns : int
        Number of cells along frequency and along time.
    of_position : torch.Tensor
        (T,F) the number of each position's cell.

    Example
    -------
    >>> cells = divide_features(frames=4, mels=2, rows=2, columns=2)
    >>> cells.of_position
    tensor([[0, 2],
            [0, 2],
            [1, 3],
            [1, 3]])
    """

    rows: int
    columns: int
    of_position: torch.Tensor

    def sum(self, attribution: torch.Tensor) -> torch.Tensor:
        """Return the sum of an attribution (T,F) within each cell, (rows, columns).

        Example
        -------
        >>> divide_features(frames=4, mels=2, rows=1, columns=2).sum(torch.ones(4, 2))
        tensor([[4., 4.]])
        """
        sums = attribution.new_zeros(self.rows * self.columns)
        sums.index_add_(0, self.of_position.flatten().to(attribution.device), attribution.flatten())
        return sums.view(self.rows, self.columns)


def divide_features(frames: int, mels: int, rows: int, columns: int) -> MapCells:
    """Divide features into cells that differ by at most one frame and one bin in size.

    Raises
    ------
    LungSRADError
        Where there would be more rows than mel bins or more columns than frames, or none.
    """
    if not (1 <= rows <= mels and 1 <= columns <= frames):
        raise LungSRADError(
            f"{rows} rows and {columns} columns of cells: the features have {mels} mel bins and {frames} frames; "
            "expected at least one cell, and no more than these"
        )
    row = torch.arange(mels) * rows // mels
    column = torch.arange(frames) * columns // frames
    return MapCells(rows, columns, row[None, :] * columns + column[:, None])
