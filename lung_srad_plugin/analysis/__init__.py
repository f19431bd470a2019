"""Analysis of what a model does to its input: mixing matrices, spectral response, maps of a decision.

Nothing here trains or scores a model.

A mixing matrix (``scan_mixing``, ``mean_mixing``) says what a scan or attention carries from each position to each
other one, with everything that the layer computes from its input held fixed. In the frequency domain it is the layer's
spectral response (``spectral``), one figure of which is frequency retention (``retention``). The convolution, norms,
MLP and residual sums of a block are not in it; ``block_response`` measures the block as a whole at a given input.
``spectra`` collects all of that over the blocks of an encoder and the cycles of a manifest, for ``lung-srad
spectrum``, and ``checkpoints`` over the runs of an ablation, for ``lung-srad retention``.
"""
