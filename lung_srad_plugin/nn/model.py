"""The model in training: one encoder for the clean sounds and their Patch-Mixed views, and the heads."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from lung_srad_plugin.encoders.base import Encoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.patch_mix import PatchMixPlan, apply_patch_mix


class ModelOutput(NamedTuple):
    """The outputs of ``LungSoundModel``. A tuple, so that distributed training finds every tensor in it.

    Arguments
    ---------
    log_probs : torch.Tensor
        (B, C) log-probabilities of the clean samples.
    pooled : torch.Tensor
        (B, D) encoder features of the clean samples.
    projected : tuple of torch.Tensor
        (B, D) projected features of each mixed view, in the order of the plans.
    distilled : torch.Tensor or None
        (B, E) the distillation head's outputs for the clean samples, in training of a model that has one.
    """

    log_probs: torch.Tensor
    pooled: torch.Tensor
    projected: tuple
    distilled: torch.Tensor | None = None


class LungSoundModel(nn.Module):
    """An encoder with a classifier on clean sounds and a projector on Patch-Mixed ones.

    Sounds are embedded once; each plan mixes a copy of the embedding map.

    The projector processes one view at a time: its batch normalisation takes the statistics of that view alone, however
    the views went through the encoder.

    Arguments
    ---------
    encoder : Encoder
        Its ``embed(feats (B, T, F)) -> (B, C, H, W)`` and ``encode(map) -> (B, D)`` are used here.
    classifier : torch.nn.Module
        (B, D) features to (B, C) log-probabilities: a ``LogClassifier``.
    projector : torch.nn.Module, optional
        (B, D) to (B, D); needed only where plans are given.
    distillation_head : torch.nn.Module, optional
        (B, D) to a teacher's (B, E); used in training only.

    Example
    -------
    >>> from lung_srad_plugin.nn.heads import LogClassifier
    >>> class MeanEncoder(nn.Module):
    ...     embedding_dim = 8
    ...     def embed(self, feats):
    ...         return feats.transpose(1, 2)[:, None]
    ...     def encode(self, maps):
    ...         return maps.mean(dim=(1, 3))
    >>> model = LungSoundModel(MeanEncoder(), LogClassifier(8, classes=4))
    >>> model(torch.randn(2, 50, 8)).log_probs.shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        encoder: Encoder,
        classifier: nn.Module,
        projector: nn.Module | None = None,
        distillation_head: nn.Module | None = None,
    ):
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.projector = projector
        self.distillation_head = distillation_head

    def forward(self, feats: torch.Tensor, plans: Sequence[PatchMixPlan] = (), one_pass: bool = True) -> ModelOutput:
        """Classify the clean sounds and project each of their mixed views.

        Arguments
        ---------
        feats : torch.Tensor
            (B, T, F) features.
        plans : sequence of PatchMixPlan
            One for each mixed view, drawn for B maps of the encoder's (H, W).
        one_pass : bool
            True encodes all views as one batch of ``B * (1 + len(plans))``; False one after another, which is slower
            and keeps as much for the backward pass. The outputs are equal, but for the encoder's own randomness (drop
            path).

        Returns
        -------
        ModelOutput

        Raises
        ------
        LungSRADError
            Where plans are given to a model without a projector, or do not fit the maps.
        """
        if plans and self.projector is None:
            raise LungSRADError("Patch-Mix plans need a projector: LungSoundModel(encoder, classifier, projector)")
        maps = self.encoder.embed(feats)
        views = [maps, *(apply_patch_mix(maps, plan) for plan in plans)]
        if one_pass:
            pooled, *mixed = self.encoder.encode(torch.cat(views)).chunk(len(views))
        else:
            pooled, *mixed = (self.encoder.encode(view) for view in views)
        projected = () if self.projector is None else tuple(self.projector(view) for view in mixed)
        distilled = self.distillation_head(pooled) if self.training and self.distillation_head is not None else None
        return ModelOutput(self.classifier(pooled), pooled, projected, distilled)
