"""One front end: the same features in training, cache, export, stock class, inference, streaming and ONNX."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from onnx_exporter import need_onnx
from ruamel.yaml import YAML
from speechbrain.inference.classifiers import EncoderClassifier
from tiny_model import FRAMES, SETTINGS, build_modules, write_run

from lung_srad_plugin import (
    AudioSetNormalization,
    CycleFeatures,
    FeatureCache,
    FeatureNormalization,
    KaldiFbank,
    LungSoundClassifier,
    LungSRADError,
    export_run,
    load_recording,
)
from lung_srad_plugin.audio.cycles import cut_cycle
from lung_srad_plugin.evaluation.predict import predict_rows
from lung_srad_plugin.export.export import export_checkpoint
from lung_srad_plugin.export.onnx_features import ONNXFeatures
from lung_srad_plugin.utils.provenance import file_sha256

# By name, what replaces the tiny run's settings of the front end.
FRONT_ENDS = {
    "default": {},
    "8 kHz": {"sample_rate": 8000, "duration": 4.0},
    "all frames": {"frames": None},
    "rms, 4 kHz": {"level": "rms", "high_hz": 4000.0},
    "clip": {"kind": "clip", "level": "rms"},
    "dataset": {"kind": "dataset"},
    "16 ms, clip mean": {"window_ms": 32.0, "shift_ms": 16.0, "n_mels": 64, "kind": "clip_mean"},
    "bin mean": {"kind": "bin_mean"},
}
STATISTICS = {"mean": -7.25, "std": 3.1415927410125732}
CYCLES = [(0.0, 1.5), (2.0, 3.25), (3.0, 7.9)]


def write_run_with(folder, **changes):
    """Write the tiny run with other settings of its front end; return it and the front end itself."""
    run = write_run(folder)
    settings = YAML().load(SETTINGS)
    kind = changes.pop("kind", "audioset")
    settings["compute_features"].update(changes)
    settings.update({key: value for key, value in changes.items() if key in ("sample_rate", "duration", "frames")})
    settings["mean_var_norm"]["kind"] = kind
    YAML().dump(settings, run / "hyperparams.yaml")
    normalization = FeatureNormalization(kind, **(STATISTICS if kind == "dataset" else {}))
    for checkpoint in (run / "save").iterdir():
        torch.save(normalization.state_dict(), checkpoint / "mean_var_norm.ckpt")
    return run, CycleFeatures(**{"frames": FRAMES, **changes}), normalization


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """8 s of quiet noise that swells and fades, at 44.1 kHz."""
    path = tmp_path_factory.mktemp("audio") / "quiet.wav"
    swell = 1.2 + np.sin(np.arange(8 * 44100) / 20000)
    samples = 0.003 * swell * np.random.default_rng(0).normal(size=8 * 44100)
    soundfile.write(path, samples, 44100, subtype="PCM_24")
    return path


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_every_way_gives_the_answers_of_training(tmp_path, recording, kind):
    run, features, normalization = write_run_with(tmp_path / "run", **FRONT_ENDS[kind])
    folder = export_run(run, tmp_path / "model")
    encoder, head = build_modules(seed=1)

    def answer(feats):
        with torch.no_grad():
            return head(encoder(normalization(feats))).squeeze(1).exp()

    cache = FeatureCache(tmp_path / "features", features)
    rows = [{"wav": str(recording), "start": start, "stop": stop, "label": "normal"} for start, stop in CYCLES]
    cache.fill(rows, progressbar=False)
    expected = answer(torch.stack([cache(row["wav"], row["start"], row["stop"]) for row in rows]))
    assert expected.std(dim=0).max() > 1e-5  # the cycles do differ

    classifier = LungSoundClassifier.from_hparams(source=folder, run_opts={"device": "cpu"})
    result = classifier.classify_file(recording, CYCLES)
    found = torch.tensor([list(segment.probabilities.values()) for segment in result.segments])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    table = predict_rows(classifier, [{**row, "ID": str(row["start"]), "patient": "1"} for row in rows])
    torch.testing.assert_close(torch.from_numpy(table.probabilities).float(), expected, atol=1e-5, rtol=0)

    clip = load_recording(recording, features.sample_rate)[None, : 3 * features.sample_rate]
    expected = answer(features.fbank(features.cut(features.prepare(clip[0]))))
    stock = EncoderClassifier.from_hparams(source=str(folder), run_opts={"device": "cpu"})
    torch.testing.assert_close(stock.classify_batch(clip)[0].exp(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(answer(ONNXFeatures(stock.mods.compute_features)(clip)), expected, atol=1e-5, rtol=0)


def test_the_onnx_file_has_gain_mel_edge_normalisation_and_padding(tmp_path, recording):
    onnxruntime = need_onnx()
    changes = {"sample_rate": 8000, "duration": 4.0, "level": "rms", "high_hz": 2000.0, "kind": "clip"}
    run, *_ = write_run_with(tmp_path / "run", **changes)
    settings = run / "hyperparams.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("  target: ss2d\n", "  target: ss2d\n  padding: replicate\n"), encoding="utf-8")
    folder = export_run(run, tmp_path / "model", onnx=True)
    assert "padding: replicate" in (folder / "hyperparams.yaml").read_text(encoding="utf-8")
    classifier = LungSoundClassifier.from_hparams(source=folder, run_opts={"device": "cpu"})
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    whole = load_recording(recording, 8000)[None]
    for clips in (whole, whole[:, 8000:12000], torch.cat([whole[:, :30000], 0 * whole[:, :30000]]), whole[:, :501]):
        found = session.run(None, {"waveforms": clips.numpy()})[0]
        np.testing.assert_allclose(found, classifier.classify_batch(clips)[0].numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_the_exported_front_end_is_that_of_the_run(tmp_path, kind):
    run, features, normalization = write_run_with(tmp_path / "run", **FRONT_ENDS[kind])
    folder = export_run(run, tmp_path / "model")
    stock = EncoderClassifier.from_hparams(source=str(folder), run_opts={"device": "cpu"})
    assert repr(stock.mods.compute_features) == repr(features)
    feats = torch.randn(2, 5, 128)
    assert torch.equal(stock.mods.mean_var_norm(feats, torch.ones(2)), normalization(feats))
    config = json.loads((folder / "config.json").read_text())
    assert config["sample_rate"] == stock.hparams.sample_rate == features.sample_rate
    assert (config["duration"], config["frames"]) == (features.duration, features.fbank.frames)


def test_statistics_that_are_not_in_the_checkpoint_are_asked_for(tmp_path):
    run, *_ = write_run_with(tmp_path / "run", kind="dataset")
    (run / "save" / "CKPT+epoch1" / "mean_var_norm.ckpt").unlink()
    with pytest.raises(LungSRADError, match=r"mean_var_norm\.ckpt"):
        export_run(run, tmp_path / "model")


def test_something_else_than_a_front_end_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    begin, end = SETTINGS.index("compute_features:"), SETTINGS.index("mean_var_norm:")
    text = f"{SETTINGS[:begin]}compute_features: !new:lung_srad_plugin.SpecAugment\n{SETTINGS[end:]}"
    (run / "hyperparams.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"hyperparams\.yaml: compute_features is SpecAugment; expected CycleF"):
        export_run(run, tmp_path / "model")


# ---- what version 0.1 left ----

OLD_FRONT_END = """\
compute_features: !new:lung_srad_plugin.KaldiFbank
  frames: {frames}
mean_var_norm: &id002 !new:lung_srad_plugin.AudioSetNormalization
"""
OLD_EXPORT = """\
sample_rate: 16000
compute_features: !new:lung_srad_plugin.CycleFeatures
    duration: 8.0
    sample_rate: 16000
    frames: 128
mean_var_norm: !new:lung_srad_plugin.AudioSetNormalization
"""


def write_old_run(folder, sample_rate=16000):
    run = write_run(folder)
    begin, end = SETTINGS.index("compute_features:"), SETTINGS.index("dims:")
    settings = SETTINGS[:begin] + OLD_FRONT_END.format(frames=FRAMES) + SETTINGS[end:]
    settings = settings.replace("sample_rate: 16000", f"sample_rate: {sample_rate}")
    (run / "hyperparams.yaml").write_text(settings, encoding="utf-8")
    return run


def test_runs_of_the_version_before_are_exported_to_the_same_answers(tmp_path, recording):
    folder = export_run(write_old_run(tmp_path / "run"), tmp_path / "model")
    encoder, head = build_modules(seed=1)
    clip = load_recording(recording)[:40000]
    with torch.no_grad():
        feats = KaldiFbank(frames=FRAMES)(cut_cycle(clip))
        expected = head(encoder(AudioSetNormalization()(feats))).squeeze(1)
    stock = EncoderClassifier.from_hparams(source=str(folder), run_opts={"device": "cpu"})
    assert torch.equal(stock.mods.compute_features(clip[None]), feats)
    torch.testing.assert_close(stock.classify_batch(clip[None])[0].exp(), expected.exp(), atol=1e-5, rtol=0)


def test_a_run_of_the_version_before_at_another_rate_is_refused(tmp_path):
    run = write_old_run(tmp_path / "run", sample_rate=8000)
    with pytest.raises(LungSRADError, match="sample_rate=8000, but compute_features is a KaldiFbank for 16000 Hz"):
        export_checkpoint(run, run / "save" / "CKPT+epoch1", tmp_path / "model")


def test_models_of_the_version_before_give_the_same_answers(model_folder, tmp_path, recording):
    folder = shutil.copytree(model_folder, tmp_path / "old")
    text = (folder / "hyperparams.yaml").read_text(encoding="utf-8")
    begin, end = text.index("sample_rate:"), text.index("embedding_model:")
    (folder / "hyperparams.yaml").write_text(text[:begin] + OLD_EXPORT + text[end:], encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["files"]["hyperparams.yaml"] = file_sha256(folder / "hyperparams.yaml")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    clips = load_recording(recording)[None, :50000]
    for load in (
        lambda source: LungSoundClassifier.from_hparams(source=source, run_opts={"device": "cpu"}),
        lambda source: EncoderClassifier.from_hparams(source=str(source), run_opts={"device": "cpu"}),
    ):
        assert torch.equal(load(folder).classify_batch(clips)[0], load(model_folder).classify_batch(clips)[0])
