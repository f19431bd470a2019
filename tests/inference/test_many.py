"""Many recordings through a model, against one at a time."""

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference import many
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.decoding import CLIPS_AHEAD, CutClips, decode_ahead
from lung_srad_plugin.inference.many import classify_many
from lung_srad_plugin.inference.predict import Clip, predict_batch
from lung_srad_plugin.inference.settings import ClassifySettings


@pytest.fixture(scope="module")
def classifier(model_folder):
    return LungSoundClassifier.from_hparams(source=model_folder)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Of 2 to 22 s, with three among them that cannot be classified."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = []
    for index, seconds in enumerate((2, 9, 22, 3, 13)):
        paths.append(folder / f"{index}.wav")
        soundfile.write(paths[-1], np.random.default_rng(index).normal(0, 0.1, seconds * 4000), 4000)
    (folder / "text.wav").write_text("no sound")
    soundfile.write(folder / "silent.wav", np.zeros(20000), 4000)
    return [folder / "absent.wav", *paths[:2], folder / "text.wav", paths[2], folder / "silent.wav", *paths[3:]]


@pytest.mark.parametrize("batch_size, threads", [(1, 1), (3, 2), (64, 4)])
def test_results_are_those_of_one_at_a_time_in_the_same_order(classifier, recordings, batch_size, threads):
    outcomes = list(classify_many(classifier, recordings, ClassifySettings(hop=3.0), batch_size, threads))
    assert [outcome.path for outcome in outcomes] == recordings
    for path, outcome in zip(recordings, outcomes, strict=True):
        try:
            expected = classifier.classify_file(path, hop=3.0)
        except LungSRADError as error:
            assert (outcome.result, str(outcome.error)) == (None, str(error))
            continue
        assert outcome.error is None and outcome.model_seconds > 0
        for ours, alone in zip((*outcome.result.segments, outcome.result.summary),
                               (*expected.segments, expected.summary), strict=True):  # fmt: skip
            assert (ours.start, ours.end, ours.label) == (alone.start, alone.end, alone.label)
            assert ours.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    assert sum(outcome.result is None for outcome in outcomes) == 3


def test_batches_are_full_across_recordings(classifier, recordings, monkeypatch):
    sizes = []

    def count(classifier, clips):
        sizes.append(len(clips))
        return predict_batch(classifier, clips)

    monkeypatch.setattr(many, "predict_batch", count)
    list(classify_many(classifier, recordings, batch_size=3))
    assert set(sizes[:-1]) == {3} and len(sizes) >= 3


def test_a_result_that_is_not_finite_belongs_to_its_recording_alone(classifier, recordings, monkeypatch):
    faulty = recordings[2]

    def fail(classifier, clips):
        if any(str(faulty) in clip.name for clip in clips):
            raise LungSRADError(f"not finite, of {len(clips)}")
        return predict_batch(classifier, clips)

    monkeypatch.setattr(many, "predict_batch", fail)
    outcomes = {outcome.path: outcome for outcome in classify_many(classifier, [*recordings[1:3], recordings[4]])}
    assert [path for path, outcome in outcomes.items() if outcome.result is None] == [faulty]
    assert str(outcomes[faulty].error) == "not finite, of 1"


def test_cycles_of_each_recording_are_classified_where_they_are_asked_for(classifier, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 20000), 4000)
    path.with_suffix(".txt").write_text("0.5\t2.0\t0\t0\n2.0\t3.5\t1\t0\n")
    (outcome,) = classify_many(classifier, [path], find_cycles=lambda path: path.with_suffix(".txt"))
    assert outcome.result.kind == "cycles"
    assert [segment.start for segment in outcome.result.segments] == [0.5, 2.0]


def test_a_wrong_setting_is_refused_before_any_recording(classifier):
    def never():
        raise AssertionError("a recording was asked for")
        yield

    with pytest.raises(LungSRADError, match="hop"):
        list(classify_many(classifier, never(), ClassifySettings(hop=100.0)))


def test_a_long_recording_is_decoded_no_further_ahead_than_is_allowed():
    produced = 0

    def clips():
        nonlocal produced
        for _ in range(10 * CLIPS_AHEAD):
            produced += 1
            yield Clip("a", torch.zeros(1))

    for decoded in decode_ahead(["a"], lambda item: CutClips(None, clips())):
        for index, _ in enumerate(decoded.clips()):
            assert produced <= index + 1 + CLIPS_AHEAD + 1
    assert produced == 10 * CLIPS_AHEAD


@pytest.mark.parametrize("stop_after", [0, 1])
def test_threads_end_when_nobody_wants_more(stop_after):
    endless = (Clip("a", torch.zeros(1)) for _ in iter(int, 1))
    coming = decode_ahead(map(str, range(10**9)), lambda item: CutClips(None, endless), threads=2)
    decoded = next(coming)
    for _ in range(stop_after):
        next(decoded.clips())
    coming.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decoding-")]


def test_an_error_of_listing_recordings_is_raised():
    def broken():
        yield Path("absent.wav")
        raise LungSRADError("the folder is gone")

    coming = decode_ahead(broken(), lambda path: CutClips(None, iter(())))
    next(coming)
    with pytest.raises(LungSRADError, match="gone"):
        next(coming)
