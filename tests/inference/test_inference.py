"""The classifier: the training's preprocessing, the stock interface, typed results, and what it leaves alone."""

import json
import shutil
import socket
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from speechbrain.inference.classifiers import EncoderClassifier
from tiny_model import build_modules

from lung_srad_plugin import AudioSetNormalization, CycleFeatures, LungSRADError
from lung_srad_plugin.audio.cycles import cut_cycle, fade, shape_cycle
from lung_srad_plugin.audio.feature_cache import FeatureCache
from lung_srad_plugin.audio.quality import Flaw
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.datasets.icbhi.annotation import read_annotation
from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.result import Classification, make_segment, summarize
from lung_srad_plugin.inference.windows import merge_windows, place_windows
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.operating_points import OperatingPoint

# Recordings at 4, 10, 16 kHz, and 44.1 kHz with 16, 24 and 32 bits.
RATES = {
    (4000, "PCM_16"),
    (10000, "PCM_16"),
    (16000, "PCM_16"),
    (44100, "PCM_16"),
    (44100, "PCM_24"),
    (44100, "PCM_32"),
}


@pytest.fixture(scope="module")
def real_recordings(icbhi_folder):
    """One real recording of each rate and sample format, by them."""
    found = {}
    for path in sorted(icbhi_folder.rglob("*.wav")):
        info = soundfile.info(path)
        found.setdefault((info.samplerate, info.subtype), path)
    assert set(found) == RATES
    return found


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """21 s of noise, two channels at 44.1 kHz."""
    path = tmp_path_factory.mktemp("audio") / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (21 * 44100, 2)), 44100, subtype="PCM_24")
    return path


def as_training_sees(path, cycles, seed=1):
    """Class probabilities of cycles through the modules and the data pipeline of the training."""
    encoder, head = build_modules(seed)
    cache = FeatureCache(None, CycleFeatures(frames=128))
    feats = torch.stack([cache(path, start, stop) for start, stop in cycles])
    with torch.no_grad():
        return head(encoder.encode(encoder.embed(AudioSetNormalization()(feats)))).exp()


# ---- preprocessing ----


@pytest.mark.parametrize("kind", sorted(RATES))
def test_cycles_of_real_recordings_are_preprocessed_as_in_training(classifier, real_recordings, kind):
    path = real_recordings[kind]
    annotation = path.with_suffix(".txt")
    cycles = [(cycle.start, cycle.stop) for cycle in read_annotation(annotation)][:5]
    expected = as_training_sees(path, cycles)
    result = classifier.classify_file(path, cycles)
    found = torch.tensor([list(segment.probabilities.values()) for segment in result.segments])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert found.std(dim=0).max() > 1e-4  # the sounds do differ
    if len(read_annotation(annotation)) == 5:
        assert classifier.classify_file(path, annotation).segments == result.segments
    assert (result.sample_rate, result.kind) == (kind[0], "cycles")


@pytest.mark.parametrize("kind", sorted(RATES))
def test_reading_in_blocks_gives_the_samples_of_reading_whole(real_recordings, kind):
    path = real_recordings[kind]
    whole = fade(load_recording(path))
    stream = RecordingStream(path)
    blocks = list(stream.blocks())
    assert len(blocks) > 1 and stream.samples == len(whole)
    torch.testing.assert_close(torch.cat(blocks), whole, atol=1e-6, rtol=0)


@settings(max_examples=12, deadline=None)
@given(
    rate=st.sampled_from([4000, 5512, 8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]),
    seconds=st.floats(0.2, 13),
    seed=st.integers(0, 9),
)
@example(rate=11025, seconds=92856 / 11025, seed=0)  # 134757.007 samples, which is a whole number in float32
def test_blocks_equal_whole_at_any_rate_and_length(tmp_path_factory, rate, seconds, seed):
    path = tmp_path_factory.getbasetemp() / "any_rate.wav"
    samples = max(round(seconds * rate), -(-rate // 5))
    soundfile.write(path, np.random.default_rng(seed).uniform(-1, 1, samples), rate, subtype="FLOAT")
    whole = fade(load_recording(path))
    found = torch.cat(list(RecordingStream(path).blocks()))
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)


def test_spans_are_the_parts_of_the_whole_wherever_they_lie(noise):
    whole = fade(load_recording(noise))
    spans = [(0, 500), (0, 128000), (64000, 192000), (64001, 64002), (300000, len(whole))]
    for (begin, end), part in zip(spans, RecordingStream(noise).cut(spans), strict=True):
        torch.testing.assert_close(part, whole[begin:end], atol=1e-6, rtol=0)


def test_a_long_recording_is_read_in_blocks(noise, monkeypatch):
    sizes = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile,
        "read",
        lambda self, frames=-1, **options: sizes.append(frames) or read(self, frames, **options),
    )
    parts = list(RecordingStream(noise).cut([(0, 100), (320000, 320100)]))
    assert [len(part) for part in parts] == [100, 100]
    assert len(sizes) == 6 and max(sizes) <= 4.1 * 44100


def test_windows_are_cut_from_the_whole_recording_and_their_overlaps_averaged(classifier, noise):
    recording = load_recording(noise)
    result = classifier.classify_file(noise, hop=5.0)
    windows = [(0, 8), (5, 13), (10, 18), (13, 21)]
    expected = as_training_sees(noise, windows)
    assert [(segment.start, segment.end) for segment in result.segments] == [
        (0, 5), (5, 8), (8, 10), (10, 13), (13, 18), (18, 21)
    ]  # fmt: skip
    covering = [[0], [0, 1], [1], [1, 2], [2, 3], [3]]
    for segment, members in zip(result.segments, covering, strict=True):
        mean = expected[members].mean(dim=0)
        torch.testing.assert_close(torch.tensor([*segment.probabilities.values()]), mean, atol=1e-5, rtol=0)
    assert result.kind == "timeline" and result.channels == 2 and len(recording) == 21 * 16000


def test_a_recording_shorter_than_the_window_is_one_repeated_window(classifier, tmp_path):
    path = tmp_path / "short.flac"
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 3 * 8000), 8000)
    (segment,) = classifier.classify_file(path).segments
    stock = classifier.classify_batch(load_recording(path))[0].exp()[0]
    torch.testing.assert_close(torch.tensor([*segment.probabilities.values()]), stock, atol=1e-5, rtol=0)
    assert (segment.start, segment.end) == (0.0, 3.0)


def test_batch_size_changes_nothing_and_progress_is_reported(classifier, noise):
    reported = []
    one = classifier.classify_file(noise, batch_size=1, progress=lambda *numbers: reported.append(numbers))
    five = classifier.classify_file(noise, batch_size=5)
    assert reported == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    for left, right in zip(one.segments, five.segments, strict=True):
        assert left.probabilities == pytest.approx(right.probabilities, abs=1e-5)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "aiff", "w64", "mp3"])
def test_formats_of_libsndfile_are_read(classifier, tmp_path, suffix):
    path = tmp_path / f"breath.{suffix}"
    soundfile.write(path, np.random.default_rng(2).normal(0, 0.1, 16000), 16000)
    assert classifier.classify_file(str(path)).summary.label in CLASSES


def test_embeddings_are_what_the_head_classifies(classifier, noise):
    cycles = [(9.0, 12.5), (1.0, 2.0)]
    embeddings = classifier.encode_file(noise, cycles)
    assert embeddings.spans == [(1.0, 2.0), (9.0, 12.5)] and embeddings.vectors.shape == (2, 32)
    found = classifier.mods.classifier(embeddings.vectors).exp()
    torch.testing.assert_close(found, as_training_sees(noise, sorted(cycles)), atol=1e-5, rtol=0)
    assert classifier.encode_file(noise).vectors.shape == (5, 32)


# ---- the stock interface ----


def test_the_stock_class_loads_the_folder_and_agrees(classifier, model_folder):
    stock = EncoderClassifier.from_hparams(source=str(model_folder), run_opts={"device": "cpu"})
    clips = 0.1 * torch.randn(2, 50000)
    for found, expected in zip(classifier.classify_batch(clips), stock.classify_batch(clips), strict=True):
        if isinstance(expected, torch.Tensor):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        else:
            assert found == expected
    torch.testing.assert_close(classifier.encode_batch(clips), stock.encode_batch(clips), atol=1e-5, rtol=0)
    assert classifier(clips[0])[3] == stock(clips[0])[3]
    assert classifier.encode_batch(clips).shape == (2, 1, 32)


def test_padding_behind_the_lengths_is_not_processed(classifier):
    clips = 0.1 * torch.randn(2, 40000)
    clips[1, 30000:] = 7.0
    found = classifier.classify_batch(clips, torch.tensor([1.0, 0.75]), 16000)[0]
    expected = torch.cat([classifier.classify_batch(clips[0])[0], classifier.classify_batch(clips[1, :30000])[0]])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_load_audio_takes_paths_and_resamples_as_training_does(classifier, noise):
    torch.testing.assert_close(classifier.load_audio(Path(noise)), load_recording(noise), atol=0, rtol=0)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_precision_reaches_the_encoder_and_stays_out_of_the_answer(model_folder, noise, precision):
    options = {"device": torch.device("cpu"), "precision": precision}
    model = LungSoundClassifier.from_hparams(source=model_folder, run_opts=options)
    seen = set()
    scan = model.mods.embedding_model.map_module(ActivationMap(stage=0, block=0, target="ss2d"))
    scan.register_forward_hook(lambda *call: seen.add(call[2].dtype))
    probabilities = torch.tensor([*model.classify_file(noise).summary.probabilities.values()])
    out_prob = model.classify_batch(torch.randn(1, 16000))[0]
    assert seen == {torch.bfloat16 if precision == "bf16" else torch.float32}
    assert out_prob.dtype == torch.float32 and probabilities.sum() == pytest.approx(1, abs=1e-6)
    exact = as_training_sees(noise, [(0, 8), (4, 12), (8, 16), (12, 20), (13, 21)]).mean(dim=0)
    assert (probabilities - exact).abs().max() < 0.15


def test_moving_the_model_moves_its_device(model_folder):
    model = LungSoundClassifier.from_hparams(source=model_folder, run_opts={"device": "cpu"})
    assert model.device == "cpu"
    assert model.to("meta") is model
    assert (model.device, model.device_type) == ("meta", "meta")


# ---- loading ----


def test_loading_leaves_no_files_no_traffic_and_no_changed_randomness(model_folder, noise, tmp_path, monkeypatch):
    def refuse(*address):
        raise AssertionError(f"network: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    before = sorted(path.name for path in model_folder.iterdir())
    LungSoundClassifier.from_hparams(source=str(model_folder), run_opts={"device": "cpu"}).classify_file(noise)
    assert torch.rand(1) == expected
    assert not list(tmp_path.iterdir())
    assert sorted(path.name for path in model_folder.iterdir()) == before


def test_the_folder_may_move(classifier, model_folder, noise, tmp_path, monkeypatch):
    shutil.copytree(model_folder, tmp_path / "else where" / "modèle")
    monkeypatch.chdir(tmp_path / "else where")
    moved = LungSoundClassifier.from_hparams(source="modèle", run_opts={"device": "cpu"})
    assert moved.classify_file(noise) == classifier.classify_file(noise)


def test_an_older_model_in_savedir_is_never_taken(model_folder, noise, classifier, tmp_path):
    savedir = tmp_path / "saved"
    shutil.copytree(model_folder, savedir)
    older, _ = build_modules(seed=2)
    torch.save(older.state_dict(), savedir / "embedding_model.ckpt")
    local = LungSoundClassifier.from_hparams(source=model_folder, savedir=savedir, run_opts={"device": "cpu"})
    assert local.classify_file(noise) == classifier.classify_file(noise)


def test_download_only_and_overrides_as_in_speechbrain(model_folder):
    assert LungSoundClassifier.from_hparams(source=model_folder, download_only=True) is None
    overrides = {"embedding_model": {"encoder": {"scan_backend": "reference"}}}
    model = LungSoundClassifier.from_hparams(source=model_folder, overrides=overrides, run_opts={"device": "cpu"})
    assert model.mods.embedding_model.scan_backend == "reference"
    assert not any(parameter.requires_grad for parameter in model.parameters())
    thawed = LungSoundClassifier.from_hparams(source=model_folder, freeze_params=False, run_opts={"device": "cpu"})
    assert all(parameter.requires_grad for parameter in thawed.parameters())


# ---- results ----


def test_findings_and_abnormal_add_up_by_hand():
    segment = make_segment(0, 1, CLASSES, (0.4, 0.3, 0.2, 0.1))
    assert (segment.label, segment.crackle, segment.wheeze, segment.abnormal) == (
        "normal", pytest.approx(0.4), pytest.approx(0.3), pytest.approx(0.6)
    )  # fmt: skip
    other = make_segment(0, 1, ("healthy", "ill"), (0.4, 0.6))
    assert (other.label, other.crackle, other.wheeze, other.abnormal) == ("ill", None, None, pytest.approx(0.6))


@pytest.fixture
def result():
    """Three segments, two of one class, then a gap."""
    rows = [(0, 4, (0.7, 0.1, 0.1, 0.1)), (4, 8, (0.5, 0.2, 0.2, 0.1)), (10, 12, (0.1, 0.1, 0.7, 0.1))]
    segments = tuple(make_segment(start, end, CLASSES, row) for start, end, row in rows)
    flaws = (Flaw("silence", "silence from 8 to 10 s", 7.9, 10.0),)
    return Classification("a, b.wav", 12.0, 4000, 1, "m", "timeline", segments, summarize(segments, CLASSES), flaws)


def test_summary_weighs_by_length(result):
    assert result.summary.probabilities["normal"] == pytest.approx((4 * 0.7 + 4 * 0.5 + 2 * 0.1) / 10)
    assert (result.summary.start, result.summary.end) == (0, 12)


def test_results_in_every_format(result):
    assert json.loads(result.to_json()) == json.loads(json.dumps(result.to_dict()))
    assert result.to_dict()["segments"][2]["wheeze"] == pytest.approx(0.8)
    assert result.to_audacity() == "0.000\t8.000\tnormal 0.60\n10.000\t12.000\twheeze 0.70\n"
    lines = result.to_csv().splitlines()
    assert lines[0] == (
        "file,start,end,label,p_normal,p_crackle,p_wheeze,p_both,any_crackle,any_wheeze,abnormal,flaws,model,"
        "confidence,uncertain,unlike_training_score,unlike_training"
    )
    assert lines[2] == (
        '"a, b.wav",4.000000,8.000000,normal,0.500000,0.200000,0.200000,0.100000,0.300000,0.300000,0.500000,silence,m,'
        ",,,"
    )
    assert result.to_csv(header=False).splitlines() == lines[1:]


def test_dataframe_or_the_cure(result, monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = result.to_dataframe()
    assert isinstance(frame, pandas.DataFrame) and list(frame["any_wheeze"].round(6)) == [0.2, 0.3, 0.8]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(LungSRADError, match="pip install pandas"):
        result.to_dataframe()


@given(samples=st.integers(1, 400), window=st.integers(1, 60), data=st.data())
def test_windows_cover_everything_and_merging_keeps_constants(samples, window, data):
    hop = data.draw(st.integers(1, window))
    windows = place_windows(samples, window, hop)
    assert {sample for begin, end in windows for sample in range(begin, end)} == set(range(samples))
    assert windows == sorted(windows) and all(end - begin == min(window, samples) for begin, end in windows)
    segments = merge_windows(windows, [[0.25, 0.75]] * len(windows), 1, ("normal", "abnormal"))
    assert segments[0].start == 0 and segments[-1].end == samples
    assert all(left.end == right.start for left, right in pairwise(segments))
    assert all(segment.abnormal == 0.75 for segment in segments)


def test_shaping_is_the_one_of_the_training():
    waveform = torch.randn(40 * 16000)
    expected = cut_cycle(waveform, 3.0, 25.0)
    # One sample beyond the window is all that the reader hands over of a long cycle.
    found = shape_cycle(fade(waveform)[48000 : 48000 + 128001])
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_to_csv_returns_text_and_save_csv_writes_a_file(result, tmp_path):
    for wrong in ("x.csv", tmp_path / "x.csv", 1, None):
        with pytest.raises(LungSRADError, match=r"save_csv\(path\)"):
            result.to_csv(wrong)
    for wrong in ("x.json", tmp_path / "x.json", True):
        with pytest.raises(LungSRADError, match=r"save_json\(path\)"):
            result.to_json(wrong)
    result.save_csv(tmp_path / "x.csv")
    result.save_json(tmp_path / "x.json")
    result.save_audacity(tmp_path / "x.txt")
    assert (tmp_path / "x.csv").read_text() == result.to_csv()
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads(result.to_json())
    assert (tmp_path / "x.txt").read_text() == result.to_audacity()
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(LungSRADError, match=r"notes\.csv: already there"):
        result.save_csv(tmp_path / "notes.csv")


def test_no_cell_of_the_csv_is_a_formula(result):
    table = replace(result, file="=1+1.wav", model="+model").to_csv().splitlines()
    assert table[1].startswith("'=1+1.wav,") and ",'+model," in table[1]


def test_a_threshold_calls_segments_abnormal(result):
    with pytest.raises(LungSRADError, match="no threshold"):
        result.called_abnormal(result.segments[0])
    called = replace(result, operating_point=OperatingPoint(90.0, 0.5))
    assert [called.called_abnormal(segment) for segment in called.segments] == [False, True, True]
    assert [segment["called_abnormal"] for segment in called.to_dict()["segments"]] == [False, True, True]
    assert called.to_dict()["operating_point"]["threshold"] == 0.5
    assert [row["called_abnormal"] for row in called.rows()] == [False, True, True]
