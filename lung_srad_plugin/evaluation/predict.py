"""What an exported model says of the cycles of a manifest, heard exactly as in training."""

from itertools import groupby, islice

import torch

from lung_srad_plugin.audio.cycles import cut_cycle, fade, shape_cycle
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.evaluation.manifest_table import join_rows
from lung_srad_plugin.inference.windows import place_windows

WINDOW_HOP = 0.5  # of the model's duration, between the starts of two windows


def predict_rows(classifier, rows, batch_size=8, windows=False, progress=None):
    """Classify the cycles of a manifest.

    Unlike ``classify_file``, which is made for recordings nobody has looked at, nothing is left out here: a silent
    cycle is scored like any other.

    Arguments
    ---------
    classifier : LungSoundClassifier
    rows : list of dict
        Rows of a manifest, with labels of the classifier.
    batch_size : int
        Cycles that go through the model at once.
    windows : bool
        What happens to a cycle longer than the model's duration. False: it is cut, as in training. True: it is heard in
        windows that overlap by half, and gets the mean of their probabilities; for recordings labelled as a whole.
    progress : callable, optional
        Called as ``progress(done, total)`` after each batch, in cycles.

    Returns
    -------
    PredictionTable
        In the order of the rows.
    """
    by_recording = sorted(range(len(rows)), key=lambda place: (rows[place]["wav"], place))
    probabilities = torch.zeros(len(rows), len(classifier.labels), dtype=torch.float64)
    parts = _parts(classifier, rows, by_recording, windows)
    seen = set()
    while batch := list(islice(parts, batch_size)):
        answers = _classify(classifier, torch.stack([cycle for _, _, cycle in batch])).double().exp()
        for (place, share, _), answer in zip(batch, answers, strict=True):
            probabilities[place] += share * answer
        seen.update(place for place, _, _ in batch)
        if progress is not None:
            progress(len(seen), len(rows))
    return join_rows(rows, probabilities.log().numpy(), classifier.labels)


def _parts(classifier, rows, order, windows):
    """Yield (place of the row, weight, waveform) of all that is to be classified, decoding each recording once."""
    rate, duration = classifier.sample_rate, classifier.window
    for wav, places in groupby(order, key=lambda place: rows[place]["wav"]):
        recording = load_recording(wav, rate)
        for place in places:
            start, stop = rows[place]["start"], rows[place]["stop"]
            if not windows or stop - start <= duration:
                yield place, 1.0, cut_cycle(recording, start, stop, duration, rate, name=wav)
                continue
            cycle = fade(recording, rate)[int(start * rate) : int(stop * rate)]
            window = round(duration * rate)
            spans = place_windows(len(cycle), window, round(window * WINDOW_HOP))
            for begin, end in spans:
                yield place, 1 / len(spans), shape_cycle(cycle[begin:end], duration, rate)


@torch.no_grad()
def _classify(classifier, waveforms):
    """Return the log-probabilities (B, C) of shaped waveforms, on the CPU."""
    mods = classifier.mods
    with classifier.inference_ctx:
        # The part of the front end that follows shaping, which must not be done twice.
        feats = mods.compute_features.fbank(waveforms.to(classifier.device))
        lens = torch.ones(len(feats), device=feats.device)
        return mods.classifier(mods.embedding_model(mods.mean_var_norm(feats, lens), lens)).squeeze(1).float().cpu()
