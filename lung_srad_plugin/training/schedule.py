"""The learning rate of each epoch, and the weight averaging of the paper expressed through it."""

import math

from lung_srad_plugin.errors import LungSRADError


class CosineByEpoch:
    """Half a cosine from ``lr`` to ``lr * decay``, constant within an epoch; epochs count from 1.

    ``rate(epoch) = low + (lr - low) * (1 + cos(pi * epoch / epochs)) / 2`` with ``low = lr * decay``; the last epoch
    runs at ``low``. No state: a resumed run needs only its epoch.

    The paper's training averages the weights after each step with those before it. Adam, AdamW and SGD (with momentum
    or weight decay too) change the weights by ``lr`` times a quantity that does not depend on ``lr``, so
    ``keep * before + (1 - keep) * after`` is exactly one step of ``(1 - keep) * lr``. ``keep_previous`` scales the rate
    by that and spares a copy of the weights at each step. This covers AdamW's decoupled weight decay, which ``lr``
    multiplies as well. Buffers, such as the running statistics of batch normalisation, are not averaged.

    Arguments
    ---------
    lr : float
        The nominal learning rate, above 0.
    epochs : int
        The number of epochs, at least 1.
    decay : float
        The last rate as a share of the first, from 0 to 1.
    keep_previous : float
        The share of the previous weights kept after every step, from 0 (no averaging) to below 1; the paper has 0.5.
    warmup_epochs : int
        The first epochs, in which the rate rises in equal steps to the cosine; encoders that start from random weights
        need some. The paper has none.

    Raises
    ------
    LungSRADError
        Where an argument is out of its range.

    Example
    -------
    >>> schedule = CosineByEpoch(lr=1.0, epochs=2, decay=0.0)
    >>> round(schedule(1), 3), schedule(2)
    (0.5, 0.0)
    >>> round(CosineByEpoch(lr=1.0, epochs=2, decay=0.0, keep_previous=0.5)(1), 3)
    0.25
    """

    def __init__(self, lr: float, epochs: int, decay: float = 1e-3, keep_previous: float = 0.0, warmup_epochs: int = 0):
        if not (math.isfinite(lr) and lr > 0):
            raise LungSRADError(f"lr={lr}: expected a number above 0")
        if not epochs >= 1:
            raise LungSRADError(f"epochs={epochs}: expected at least 1")
        if not 0 <= decay <= 1:
            raise LungSRADError(f"decay={decay}: expected a share from 0 to 1")
        if not 0 <= keep_previous < 1:
            raise LungSRADError(f"keep_previous={keep_previous}: expected a share from 0 to below 1")
        self.lr = lr
        self.epochs = epochs
        self.decay = decay
        if not 0 <= warmup_epochs < epochs:
            raise LungSRADError(f"warmup_epochs={warmup_epochs}: expected 0 to below the {epochs} epochs")
        self.keep_previous = keep_previous
        self.warmup_epochs = warmup_epochs

    def __call__(self, epoch):
        """Return the rate to give to the optimiser in this epoch.

        Arguments
        ---------
        epoch : int
            From 1 to ``epochs``.

        Returns
        -------
        float

        Raises
        ------
        LungSRADError
            Where the epoch lies outside the schedule.
        """
        if not 1 <= epoch <= self.epochs:
            raise LungSRADError(
                f"epoch {epoch} lies outside the learning rate schedule of epochs 1 to {self.epochs}; give the "
                "schedule as many epochs as the training"
            )
        low = self.lr * self.decay
        rate = low + (self.lr - low) * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        warmup = min(1.0, epoch / (self.warmup_epochs + 1))
        return (1 - self.keep_previous) * warmup * rate
