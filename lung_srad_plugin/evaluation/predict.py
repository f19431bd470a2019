"""The predictions of an exported model for the cycles of a manifest, which it processes exactly as in training."""

from itertools import groupby

import torch

from lung_srad_plugin.audio.cycles import shape_cycle
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.evaluation.manifest_table import join_rows
from lung_srad_plugin.inference.predict import Clip, predict
from lung_srad_plugin.inference.windows import place_windows

WINDOW_HOP = 0.5  # of the model's duration, between the starts of two windows


def predict_rows(classifier, rows, batch_size=8, windows=False, progress=None):
    """Classify the cycles of a manifest.

    Unlike ``classify_file``, which is made for recordings without annotations, nothing is left out here: a silent
    cycle is scored like any other.

    Arguments
    ---------
    classifier : LungSoundClassifier
    rows : list of dict
        Rows of a manifest, with labels of the classifier.
    batch_size : int
        Cycles that go through the model at once.
    windows : bool
        What happens to a cycle longer than the model's duration. False: it is cut, as in training. True: it is
        processed in windows that overlap by half, and gets the mean of their probabilities; for recordings labelled as
        a whole.
    progress : callable, optional
        Called as ``progress(done, total)`` after each batch, in cycles.

    Returns
    -------
    PredictionTable
        In the order of the rows.
    """
    by_recording = sorted(range(len(rows)), key=lambda index: (rows[index]["wav"], index))
    probabilities = torch.zeros(len(rows), len(classifier.labels), dtype=torch.float64)
    started, parts = [], cut_clips(classifier, rows, by_recording, windows)

    def clips():
        for index, share, clip in parts:
            started.append((index, share))
            yield clip

    done, seen = 0, set()
    for batch in predict(classifier, clips(), batch_size):
        answers = batch.log_probs.double().exp()
        for (index, share), answer in zip(started[done:], answers, strict=True):
            probabilities[index] += share * answer
        seen.update(index for index, _ in started[done:])
        done = len(started)
        if progress is not None:
            progress(len(seen), len(rows))
    return join_rows(rows, probabilities.log().numpy(), classifier.labels)


def cut_clips(classifier, rows, order, windows=False):
    """Yield (index of the row, weight, clip) of all that is to be classified, decoding each recording once.

    Arguments
    ---------
    classifier, rows, windows
        As for ``predict_rows``.
    order : list of int
        The indices of the rows to cut, those of one recording one after another.
    """
    rate, duration = classifier.sample_rate, classifier.window
    features = classifier.mods.compute_features
    for wav, indices in groupby(order, key=lambda index: rows[index]["wav"]):
        recording = features.prepare(load_recording(wav, rate), name=wav)
        for index in indices:
            start, stop = rows[index]["start"], rows[index]["stop"]
            name = f"{wav}, {start:.2f} to {stop:.2f} s"
            if not windows or stop - start <= duration:
                yield index, 1.0, Clip(name, features.cut(recording, start, stop, name=wav))
                continue
            cycle = recording[int(start * rate) : int(stop * rate)]
            window = round(duration * rate)
            spans = place_windows(len(cycle), window, round(window * WINDOW_HOP))
            for begin, end in spans:
                yield index, 1 / len(spans), Clip(name, shape_cycle(cycle[begin:end], duration, rate))
