"""The contrastive loss between clean and Patch-Mixed features, and weights for uneven classes."""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from lung_srad_plugin.errors import LungSRADError

NEGATIVES = ("all", "diff_label")
STOP_GRADIENTS = ("clean", "mixed", "none")
CLASS_WEIGHTS = ("none", "inverse", "inverse_sqrt")


def patch_mix_contrastive_loss(
    clean: torch.Tensor,
    mixed: torch.Tensor,
    lam: float,
    index: torch.Tensor,
    temperature: float = 0.2,
    excluded: torch.Tensor | None = None,
) -> torch.Tensor:
    """Loss of finding, for each mixed sample, the two clean samples that it was made of and their shares.

    With cosine similarities ``s[i, j] = cos(mixed[i], clean[j]) / temperature`` and ``p[i] = softmax_j(s[i])``, the
    loss is the mean over ``i`` of ``-lam * log p[i, i] - (1 - lam) * log p[i, index[i]]`` (Bae et al., Interspeech
    2023, arXiv 2305.14032; Lung-SRAD, arXiv 2606.11922).

    Arguments
    ---------
    clean : torch.Tensor
        (B, D) features of the unmixed samples.
    mixed : torch.Tensor
        (B, D) projected features of the mixed samples.
    lam : float
        The share of sample ``i`` in mixed sample ``i``, from 0 to 1.
    index : torch.Tensor
        (B,) the partner of each sample.
    temperature : float
        Divides the similarities; above 0.
    excluded : torch.Tensor, optional
        (B, B) bool, True where clean sample ``j`` is left out of mixed sample ``i``'s softmax. The sample itself and
        its partner always stay in.

    Returns
    -------
    torch.Tensor
        () the loss, in float32 (float64 for float64 features), whatever autocast says.

    Example
    -------
    >>> clean = torch.eye(2)
    >>> loss = patch_mix_contrastive_loss(clean, clean, lam=0.75, index=torch.tensor([1, 0]), temperature=1.0)
    >>> round(loss.item(), 4)  # 0.75 * log(1 + exp(-1)) + 0.25 * log(1 + exp(1))
    0.5633
    """
    own = torch.arange(len(clean), device=clean.device)
    index = index.to(clean.device)
    with torch.autocast(clean.device.type, enabled=False):
        clean, mixed = (x.double() if x.dtype == torch.float64 else x.float() for x in (clean, mixed))
        logits = F.normalize(mixed, dim=1) @ F.normalize(clean, dim=1).T / temperature
        if excluded is not None:
            positive = (own == own[:, None]) | (own == index[:, None])
            logits = logits.masked_fill(excluded & ~positive, -torch.inf)
        log_p = logits.log_softmax(dim=1)
        return -(lam * log_p[own, own] + (1 - lam) * log_p[own, index]).mean()


class PatchMixContrastiveLoss(nn.Module):
    """``patch_mix_contrastive_loss`` with its choices: temperature, negatives and the side without gradient.

    Arguments
    ---------
    temperature : float
        Divides the cosine similarities; above 0.
    negatives : str
        ``"all"``: all other clean samples of the batch. ``"diff_label"``: only those whose label differs from the
        mixed sample's own.
    stop_gradient : str
        Which features are detached: ``"clean"`` (the published code of Patch-Mix CL), ``"mixed"``, or ``"none"``.

    Raises
    ------
    LungSRADError
        Where a choice is unknown, or the temperature is not positive.

    Example
    -------
    >>> loss = PatchMixContrastiveLoss(temperature=0.2)
    >>> clean, mixed = torch.randn(4, 768), torch.randn(4, 768)
    >>> loss(clean, mixed, lam=0.5, index=torch.tensor([1, 2, 3, 0])).shape
    torch.Size([])
    """

    def __init__(self, temperature: float = 0.2, negatives: str = "all", stop_gradient: str = "clean"):
        super().__init__()
        if not temperature > 0:
            raise LungSRADError(f"temperature={temperature}: expected a number above 0")
        if negatives not in NEGATIVES:
            raise LungSRADError(f"negatives={negatives!r} is unknown; expected one of {', '.join(NEGATIVES)}")
        if stop_gradient not in STOP_GRADIENTS:
            raise LungSRADError(f"stop_gradient={stop_gradient!r} is unknown; expected {', '.join(STOP_GRADIENTS)}")
        self.temperature = temperature
        self.negatives = negatives
        self.stop_gradient = stop_gradient

    def forward(
        self,
        clean: torch.Tensor,
        mixed: torch.Tensor,
        lam: float,
        index: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the loss of one mixed view.

        Arguments
        ---------
        clean : torch.Tensor
            (B, D) pooled features of the clean samples.
        mixed : torch.Tensor
            (B, D) projected features of the mixed samples.
        lam : float
            The plan's ``lam``.
        index : torch.Tensor
            (B,) the plan's ``index``.
        labels : torch.Tensor, optional
            (B,) classes of the clean samples; needed with ``negatives="diff_label"``, else unused.

        Returns
        -------
        torch.Tensor
            () the loss.

        Raises
        ------
        LungSRADError
            Where ``negatives="diff_label"`` and no labels are given.
        """
        excluded = None
        if self.negatives == "diff_label":
            if labels is None:
                raise LungSRADError('negatives="diff_label" needs the labels of the batch; got None')
            excluded = labels[:, None] == labels
        if self.stop_gradient == "clean":
            clean = clean.detach()
        elif self.stop_gradient == "mixed":
            mixed = mixed.detach()
        return patch_mix_contrastive_loss(clean, mixed, lam, index, self.temperature, excluded)


def class_weights(counts: Mapping[str, float], scheme: str = "none") -> torch.Tensor:
    """Return a weight for each class, for ``torch.nn.functional.nll_loss(..., weight=...)``.

    ``"none"`` weighs all classes 1. ``"inverse"`` weighs class ``c`` by ``n / (C * n_c)``, where ``n_c`` of the ``n``
    training samples belong to it and C is the number of classes, so that the weights average 1 over the samples
    (King and Zeng, "Logistic regression in rare events data", 2001; scikit-learn calls it "balanced").
    ``"inverse_sqrt"`` weighs it by ``1 / sqrt(n_c)``, scaled so that these weights average 1 too: between the two, for
    classes of a few samples.

    Arguments
    ---------
    counts : dict
        Number of training samples by class name, in the order of the model's classes. Where samples are drawn with
        different probabilities, the number that an epoch draws on average.
    scheme : str
        One of ``CLASS_WEIGHTS``.

    Returns
    -------
    torch.Tensor
        (C,) float32.

    Raises
    ------
    LungSRADError
        Where the scheme is unknown, or a class to be weighted has no sample.

    Example
    -------
    >>> class_weights({"normal": 6, "crackle": 2}, "inverse")
    tensor([0.6667, 2.0000])
    >>> class_weights({"normal": 9, "crackle": 1}, "inverse_sqrt")
    tensor([0.8333, 2.5000])
    """
    if scheme not in CLASS_WEIGHTS:
        raise LungSRADError(f"class weighting {scheme!r} is unknown; expected one of {', '.join(CLASS_WEIGHTS)}")
    if scheme == "none":
        return torch.ones(len(counts))
    empty = [name for name, count in counts.items() if count <= 0]
    if empty:
        raise LungSRADError(
            f"class weighting {scheme!r} needs at least one training sample of each class; none of: {', '.join(empty)}"
        )
    values = torch.tensor(list(counts.values()), dtype=torch.float32)
    if scheme == "inverse":
        return values.sum() / (len(values) * values)
    return values.rsqrt() * values.sum() / values.sqrt().sum()
