"""A model folder is data: a foreign callable is refused wherever it is, and runs only where the user trusts it."""

import copy
import inspect
import json
import re
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

import lung_srad_plugin
from lung_srad_plugin import LungSRADError
from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.export.allowed_callables import MODEL_CALLABLES, MODEL_RULES
from lung_srad_plugin.export.stored_model import read_model
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.utils.provenance import file_sha256
from lung_srad_plugin.utils.yaml_nodes import check_yaml


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def write_yaml(folder, text):
    """Give the folder this yaml, and let it carry its hash."""
    (folder / "hyperparams.yaml").write_text(text, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text())
    config["files"]["hyperparams.yaml"] = file_sha256(folder / "hyperparams.yaml")
    (folder / "config.json").write_text(json.dumps(config))


def paths(tree, path=()):
    """Yield the path of each value of a yaml tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


def with_call(tree, path, trace):
    """Return a copy of a tree as text with a callable that would leave a trace in place of a value."""
    changed = copy.deepcopy(tree)
    node = changed
    for key in path[:-1]:
        node = node[key]
    call = CommentedSeq([str(trace)])
    call.yaml_set_ctag(YAML().load("!apply:os.mkdir [x]").tag)
    node[path[-1]] = call
    text = StringIO()
    YAML().dump(changed, text)
    return text.getvalue()


def test_a_foreign_callable_is_refused_in_each_value(folder, tmp_path):
    tree = YAML().load((folder / "hyperparams.yaml").read_text())
    trace = tmp_path / "trace"
    refused = 0
    for path in paths(tree):
        write_yaml(folder, with_call(tree, path, trace))
        with pytest.raises(LungSRADError, match=r"hyperparams\.yaml, .*line \d+: !apply:os\.mkdir is not allowed"):
            read_model(folder)
        refused += 1
    assert refused > 30 and not trace.exists()


@pytest.mark.parametrize("line", [
    "extra: !apply:os.mkdir [{trace}]",
    "extra: !new:pathlib.Path [{trace}]",
    "extra: !name:os.mkdir",
    "extra: !name:os.mkdir {{path: {trace}}}",
    "extra: !module:os",
    "extra: !applyref:os.mkdir [{trace}]",
    "extra: !include:{trace}",
    "extra: !copy <classifier>",
    "extra: !PLACEHOLDER",
    "extra: !tuple (1, 2)",
    "extra: (!!python/object/apply:os.mkdir [{trace}])",
    "extra: '(!!python/object/apply:os.mkdir [{trace}])'",
    "extra: !!python/object/apply:os.mkdir [{trace}]",
    "extra: &anchor 1",
    "extra: {{<<: {{a: 1}}}}",
    "extra: !ref <classifier.linear>",
    "extra: !ref <sample_rate> * 2",
    "__extra: !apply:os.mkdir [{trace}]",
    "sample_rate: 16000",
    "extra: !new:lung_srad_plugin.FeatureCache {{folder: {trace}}}",
    "extra: !new:lung_srad_plugin.LogClassifier {{input_size: 2, classes: 2, device: cuda}}",
    "extra: !apply:lung_srad_plugin.LogClassifier {{input_size: 2, classes: 2}}",
    "extra: !new:speechbrain.utils.parameter_transfer.Pretrainer {{collect_in: {trace}}}",
    "extra: !new:speechbrain.utils.parameter_transfer.Pretrainer {{loadables: {{}}, paths: {{a: {trace}}}}}",
])  # fmt: skip
def test_each_tag_of_hyperpyyaml_is_refused_in_a_folder(folder, tmp_path, line):
    trace = tmp_path / "trace"
    text = (folder / "hyperparams.yaml").read_text()
    write_yaml(folder, text + line.format(trace=trace) + "\n")
    with pytest.raises(LungSRADError, match=rf"hyperparams\.yaml, line {len(text.splitlines()) + 1}: .*--trust-code"):
        LungSoundClassifier.from_hparams(source=folder)
    assert not trace.exists()


def test_only_trust_code_runs_what_a_folder_calls(folder, tmp_path):
    trace = tmp_path / "trace"
    write_yaml(folder, (folder / "hyperparams.yaml").read_text() + f"extra: !apply:os.mkdir [{trace}]\n")
    with pytest.raises(LungSRADError, match="trust_code=True"):
        LungSoundClassifier.from_hparams(source=folder, run_opts={"device": "cpu"})
    assert not trace.exists()
    LungSoundClassifier.from_hparams(source=folder, run_opts={"device": "cpu"}, trust_code=True)
    assert trace.is_dir()


@pytest.fixture
def foreign(folder, tmp_path):
    """A model folder that calls what no export writes, and the folder that this call would make."""
    trace = tmp_path / "trace"
    write_yaml(folder, (folder / "hyperparams.yaml").read_text() + f"extra: !apply:os.mkdir [{trace}]\n")
    return folder, trace


@pytest.fixture
def cycles(tmp_path):
    """A manifest of two recordings."""
    rows = []
    for index, label in enumerate(("normal", "crackle")):
        path = tmp_path / f"{label}.wav"
        soundfile.write(path, np.random.default_rng(index).normal(0, 0.1, 16000), 8000)
        times = {"duration": 2.0, "wav": str(path), "start": 0.0, "stop": 2.0}
        rows.append({"ID": label, **times, "label": label, "patient": label})
    write_manifest(tmp_path / "cycles.csv", rows)
    return tmp_path / "cycles.csv"


def run_command(*arguments):
    """Return the exit code of a command of lung-srad."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


def test_every_command_that_loads_a_model_needs_trust_code_for_foreign_callables(foreign, cycles, tmp_path, capsys):
    folder, trace = foreign
    commands = {
        "classify": (cycles.with_name("normal.wav"), "--model", folder, "--device", "cpu"),
        "evaluate": (folder, cycles, "--output", tmp_path / "report", "--resamples", 10, "--device", "cpu"),
    }
    for name, arguments in commands.items():
        assert run_command(name, *arguments) == 2
        error = capsys.readouterr().err
        assert "!apply:os.mkdir is not allowed" in error and "--trust-code" in error and not trace.exists()
        assert run_command(name, *arguments, "--trust-code") == 0
        trace.rmdir()


def test_a_run_with_foreign_callables_is_exported_with_trust_code(run_folder, tmp_path, capsys):
    run = shutil.copytree(run_folder, tmp_path / "run")
    path = run / "hyperparams.yaml"
    path.write_text(path.read_text().replace("kind: audioset", "kind: !apply:str [audioset]"))
    assert run_command("export", run, tmp_path / "model") == 2
    assert "!apply:str is not allowed" in capsys.readouterr().err and not (tmp_path / "model").exists()
    path.write_text(path.read_text().replace("!apply:str [audioset]", "!apply:str.lower [AUDIOSET]"))
    assert run_command("export", run, tmp_path / "model", "--trust-code") == 0
    with pytest.raises(LungSRADError, match=r"!apply:str\.lower is not allowed"):
        read_model(tmp_path / "model")
    assert read_model(tmp_path / "model", trust_code=True).modules["mean_var_norm"].kind == "audioset"


def test_info_builds_nothing(foreign, capsys):
    folder, trace = foreign
    assert run_command("info", folder) == 0
    assert "Not a medical device" in capsys.readouterr().out and not trace.exists()


def test_a_name_of_5000_characters_is_refused_by_every_command(cycles, tmp_path, capsys):
    name = "x" * 5000
    for arguments in (
        ("info", name),
        ("classify", cycles.with_name("normal.wav"), "--model", name),
        ("classify", cycles.with_name("normal.wav"), "--model", f"owner/{name}"),
        ("evaluate", name),
        ("evaluate", name, cycles),
        ("export", name, tmp_path / "model"),
    ):
        assert run_command(*arguments) == 2
        assert len(capsys.readouterr().err) < 500


def test_overrides_are_held_to_the_same_rule(folder, tmp_path):
    trace = tmp_path / "trace"
    overrides = f"sample_rate: !apply:os.mkdir [{trace}]"
    with pytest.raises(LungSRADError, match=r"overrides, line 1: !apply:os\.mkdir is not allowed"):
        read_model(folder, overrides=overrides)
    assert not trace.exists()


def test_an_export_calls_only_what_is_allowed(model_folder):
    text = (model_folder / "hyperparams.yaml").read_text()
    check_yaml(text, "hyperparams.yaml", MODEL_RULES)
    assert set(re.findall(r"!(?:new|apply):\S+", text)) <= MODEL_CALLABLES.keys()


# hyperparams.yaml as version 0.1 wrote it.
VERSION_0_1 = """\
# Lung-SRAD, for speechbrain.inference.classifiers.EncoderClassifier.from_hparams(source=<this folder>), or with checks
sample_rate: 16000
compute_features: !new:lung_srad_plugin.CycleFeatures
    duration: 8.0
    sample_rate: 16000
    frames: 128
mean_var_norm: !new:lung_srad_plugin.AudioSetNormalization
embedding_model: !apply:lung_srad_plugin.smooth_blocks
    encoder: !new:lung_srad_plugin.DASSEncoder
        depths: [1, 1]
        dims: [16, 32]
        drop_path_rate: 0.1
    stage: 1
    blocks: [0]
    kernel_size: 3
    sigma: 1.0
    target: ss2d
classifier: !new:lung_srad_plugin.LogClassifier
    input_size: 32
    classes: 4
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
label_count: !apply:speechbrain.dataio.encoder.CategoricalEncoder.expect_len
    - !ref <label_encoder>
    - 4
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
"""


def test_an_export_of_version_0_1_loads(folder, model_folder):
    write_yaml(folder, VERSION_0_1)
    found, expected = (read_model(one).modules["embedding_model"].state_dict() for one in (folder, model_folder))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_arguments_allowed_are_those_of_the_callables():
    for tag, arguments in MODEL_CALLABLES.items():
        name = tag.partition(":")[2]
        if name.startswith("lung_srad_plugin."):
            parameters = inspect.signature(getattr(lung_srad_plugin, name.partition(".")[2])).parameters.values()
            assert {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD} == set(arguments.names)


def test_the_guide_shows_the_list():
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "classify.md").read_text(encoding="utf-8")
    assert all(tag.partition(":")[2].rpartition(".")[2] in guide for tag in MODEL_CALLABLES)
