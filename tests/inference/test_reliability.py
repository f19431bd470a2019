"""What is unlike the training sounds and what is uncertain, in results, tables, pictures and notes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from toy_sounds import RATE, breath

from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.datasets.synthetic.other_sounds import OTHER_SOUNDS, make_other_sound
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.figure import plot_timeline
from lung_srad_plugin.inference.reliability import add_reliability, merge_scores
from lung_srad_plugin.inference.result import make_segment
from lung_srad_plugin.labels import CLASSES

SURE, UNSURE = [0.9, 0.1, 0, 0], [0.5, 0.3, 0.2, 0]


@pytest.fixture
def part_music():
    """Breath for 24 s with music from 8 to 16 s."""
    sound = breath(99, seconds=24)
    sound[8 * RATE : 16 * RATE] = 0.1 * make_other_sound("music", 8, RATE, np.random.default_rng(0))
    return sound


@pytest.mark.parametrize("kind", OTHER_SOUNDS)
def test_other_sounds_are_flagged(kind, breath_model):
    sound = make_other_sound(kind, 16, RATE, np.random.default_rng(7))
    result = breath_model.classify_file(sound, sample_rate=RATE)
    assert result.summary.unlike_training and all(segment.unlike_training for segment in result.segments)
    assert result.summary.unlike_training_score > 1


def test_breaths_are_not_flagged(breath_model):
    results = [breath_model.classify_file(breath(number), sample_rate=RATE) for number in range(200, 206)]
    assert [result.summary.unlike_training for result in results] == [False] * 6


def test_what_is_flagged_is_where_the_sound_is(breath_model, part_music):
    result = breath_model.classify_file(part_music, sample_rate=RATE, hop=8.0)
    flags = [(segment.start, segment.end, segment.unlike_training) for segment in result.segments]
    assert flags == [(0, 8, False), (8, 16, True), (16, 24, False)]
    assert result.summary.unlike_training is False  # a third of it
    cycles = breath_model.classify_file(part_music, [(1, 7), (9, 15)], sample_rate=RATE)
    assert [segment.unlike_training for segment in cycles.segments] == [False, True]
    assert cycles.summary.unlike_training  # half of what was asked for


def test_batches_get_the_scores_of_files(breath_model):
    sounds = [breath(300, seconds=8), make_other_sound("hum", 8, RATE, np.random.default_rng(0))]
    rate = breath_model.sample_rate
    waveforms = torch.stack([torch.from_numpy(np.repeat(sound, rate // RATE)).float() for sound in sounds])
    scores = breath_model.unlike_training_batch(waveforms)
    alone = [
        breath_model.classify_file(row.numpy(), sample_rate=rate).summary.unlike_training_score for row in waveforms
    ]
    assert scores.tolist() == pytest.approx(alone, rel=1e-3) and scores[0] < 1 < scores[1]
    padded = torch.nn.functional.pad(waveforms, (0, 8000))
    lengths = torch.full((2,), waveforms.shape[1] / padded.shape[1])
    assert breath_model.unlike_training_batch(padded, lengths).tolist() == pytest.approx(scores.tolist(), rel=1e-6)


def test_the_score_of_a_stretch_is_the_mean_of_its_windows():
    assert merge_scores([(0, 8), (4, 12), (12, 20)], [0.5, 2.0, 1.0]).tolist() == [0.5, 1.25, 2.0, 1.0]


def test_a_recording_is_flagged_from_half_of_its_length():
    segments = [make_segment(start, start + 1, CLASSES, SURE) for start in range(4)]
    rows = np.array([SURE] * 4)

    def whole(*scores):
        return add_reliability(segments, segments[0], rows, np.array(scores), 0.6)[1]

    assert whole(3.0, 0.5, 1.0, 1.1).unlike_training and whole(3.0, 0.5, 1.0, 1.1).unlike_training_score == 1.1
    assert not whole(3.0, 0.5, 1.0, 1.0).unlike_training  # 1 is the limit, which is not exceeded
    assert whole(0.2, 0.5, 1.0, 9.0).unlike_training_score == 1.0


def test_uncertain_by_the_mean_weighed_by_length():
    segments = [make_segment(0, 1, CLASSES, SURE), make_segment(1, 4, CLASSES, UNSURE)]
    found, summary = add_reliability(segments, segments[0], np.array([SURE, UNSURE]), None, 0.6)
    assert [segment.uncertain for segment in found] == [False, True]
    assert summary.confidence == pytest.approx(0.9 / 4 + 0.5 * 3 / 4) and summary.uncertain is False
    assert summary.unlike_training is None and summary.unlike_training_score is None


def test_confidence_is_calibrated_whatever_the_probabilities_are(breath_model):
    sound = breath(400)
    plain = breath_model.classify_file(sound, sample_rate=RATE)
    assert not plain.confidence_calibrated
    for segment in plain.segments:
        assert segment.confidence == pytest.approx(max(segment.probabilities.values()))
        assert segment.uncertain == (segment.confidence < 0.6)
    soft = LungSoundClassifier.__new__(LungSoundClassifier)
    soft.__dict__ = dict(breath_model.__dict__)
    soft.calibration = replace(breath_model.calibration, temperature=50.0, reason=None)
    result = soft.classify_file(sound, sample_rate=RATE)
    assert result.confidence_calibrated and result.segments[0].probabilities == plain.segments[0].probabilities
    assert all(segment.uncertain for segment in (*result.segments, result.summary))
    calibrated = soft.classify_file(sound, sample_rate=RATE, calibrated=True)
    assert [part.confidence for part in calibrated.segments] == [part.confidence for part in result.segments]


def test_new_columns_come_last(breath_model, part_music):
    result = breath_model.classify_file(part_music, sample_rate=RATE, hop=8.0)
    row = result.rows()[1]
    assert list(row)[-5:] == ["model", "confidence", "uncertain", "unlike_training_score", "unlike_training"]
    assert row["unlike_training"] is True and row["unlike_training_score"] > 1
    assert json.loads(result.to_json())["segments"][1]["unlike_training"] is True
    assert result.to_csv().splitlines()[2].endswith(",True")


def test_a_folder_of_an_earlier_version_has_no_flags(breath_folder, tmp_path):
    folder = shutil.copytree(breath_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["novelty"], config["uncertainty"], config["files"]["novelty.safetensors"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model = LungSoundClassifier.from_hparams(source=folder, run_opts={"device": "cpu"})
    segment = model.classify_file(breath(1), sample_rate=RATE).segments[0]
    assert segment.unlike_training is None and segment.uncertain is not None
    with pytest.raises(LungSRADError, match="export the model again"):
        model.unlike_training_batch(torch.zeros(1, 128000))


def test_the_picture_marks_both(breath_model, part_music):
    result = breath_model.classify_file(part_music, sample_rate=RATE, hop=8.0, name="x.wav")
    first = replace(result.segments[0], uncertain=True)
    rest = (replace(part, uncertain=False) for part in result.segments[1:])
    result = replace(result, segments=(first, *rest))
    figure = plot_timeline(result, audio(part_music))
    curves, strip = figure.axes[2:]
    assert [text.get_text() for text in curves.get_legend().get_texts()][2:] == ["unlike\ntraining", "uncertain"]
    marked = {(patch.get_x(), patch.get_width(), patch.get_hatch()) for patch in strip.patches if patch.get_hatch()}
    assert marked == {(8.0, 8.0, "xx"), (0.0, 8.0, "..")}


def audio(samples):
    from lung_srad_plugin.audio.source import audio_source

    return audio_source(samples, RATE, "x.wav")


def test_notes_at_the_end_name_the_recordings(breath_folder, part_music, tmp_path, capsys):
    soundfile.write(tmp_path / "hum.wav", make_other_sound("hum", 16, RATE, np.random.default_rng(0)), RATE)
    soundfile.write(tmp_path / "part.wav", part_music, RATE)
    soundfile.write(tmp_path / "breath.wav", breath(500), RATE)
    with pytest.raises(SystemExit) as ended:
        cli.main(["classify", str(tmp_path), "--model", str(breath_folder), "--hop", "8"])
    output = capsys.readouterr()
    assert not ended.value.code
    notes = {line.partition(" recordings ")[2]: line for line in output.err.splitlines() if line.startswith("note:")}
    unlike = next(text for text in notes if text.startswith("are unlike the sounds"))
    partly = next(text for text in notes if text.startswith("are unlike the training sounds in parts"))
    assert "hum.wav" in unlike and "1 of 3" in notes[unlike] and "part.wav" in partly
    assert not any("breath.wav" in text for text in (unlike, partly))
    assert "unlike training" in output.out
