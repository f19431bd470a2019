"""Both public layouts of DASS weights load; files that do not fit are refused with names, and nothing is changed."""

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lung_srad_plugin.encoders.dass.checkpoint import file_name, file_shape, load_dass_checkpoint
from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.gaussian import smooth_blocks

LAYOUTS = ("released", "hub")


def tiny():
    return DASSEncoder([1, 1, 4, 1], [16, 32, 64, 128]).eval()


def write(path, encoder, head, layout):
    """Write these weights as a file of a public layout."""
    named = encoder.state_dict() | {f"head.{name}": value for name, value in head.state_dict().items()}
    stored = {
        file_name(name, layout): value.reshape(file_shape(name, value.shape, layout)).contiguous().clone()
        for name, value in named.items()
    }
    save_file(stored, path) if layout == "hub" else torch.save(stored, path)
    return stored


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture
def source():
    torch.manual_seed(0)
    return DASSEncoder([1, 3], [16, 32]).eval(), torch.nn.Linear(32, 5)


@pytest.fixture
def file(tmp_path, layout, source):
    path = tmp_path / ("weights.safetensors" if layout == "hub" else "weights.pth")
    write(path, *source, layout)
    return path


def edit(path, change):
    """Change the stored dictionary of a file in place."""
    if path.suffix == ".safetensors":
        stored = load_file(path)
        change(stored)
        save_file(stored, path)
    else:
        stored = torch.load(path, weights_only=True)
        change(stored)
        torch.save(stored, path)


def test_public_files_load_to_the_same_weights(golden):
    theirs = np.load(golden / "dass_tiny.npz")
    feats = torch.from_numpy(theirs["input"])[:, 0].mT
    loaded = []
    for file in ("released_layout_11.pth", "hub_layout_11.safetensors"):
        head = torch.nn.Linear(128, 4)
        encoder = load_dass_checkpoint(golden / file, tiny(), head)
        with torch.no_grad():
            logits = head(encoder(feats)[:, 0])
        torch.testing.assert_close(logits, torch.from_numpy(theirs["out/logits"]), rtol=1e-4, atol=1e-5)
        loaded.append(encoder.state_dict() | head.state_dict())
    for name, value in loaded[0].items():
        assert torch.equal(value, loaded[1][name]), name
        if name in loaded[0].keys() & {key.removeprefix("w/") for key in theirs}:
            assert np.array_equal(value, theirs[f"w/{name}"]), name


@pytest.mark.parametrize("size", ["small", "medium"])
def test_names_and_shapes_of_the_released_file(golden, size):
    released = json.loads((golden / "released_checkpoint_keys.json").read_text())[size]
    with torch.device("meta"):
        encoder, head = getattr(DASSEncoder, size)(), torch.nn.Linear(768, 527)
    named = encoder.state_dict() | {f"head.{name}": value for name, value in head.state_dict().items()}
    expected = {
        file_name(name, "released"): list(file_shape(name, value.shape, "released")) for name, value in named.items()
    }
    assert expected == released


def test_names_and_shapes_of_the_file_of_the_hub(golden):
    encoder, head = tiny(), torch.nn.Linear(128, 4)
    named = encoder.state_dict() | {f"head.{name}": value for name, value in head.state_dict().items()}
    expected = {file_name(name, "hub"): file_shape(name, value.shape, "hub") for name, value in named.items()}
    stored = load_file(golden / "hub_layout_11.safetensors")
    assert expected == {name: tuple(value.shape) for name, value in stored.items()}


def test_weights_and_head_are_loaded(file, source):
    encoder, head = DASSEncoder([1, 3], [16, 32]).eval(), torch.nn.Linear(32, 5)
    assert load_dass_checkpoint(str(file), encoder, head) is encoder
    for ours, theirs in zip((encoder, head), source, strict=True):
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name


def test_head_is_ignored_where_none_is_given(file, source):
    edit(file, lambda stored: [stored.pop(name) for name in list(stored) if "head.weight" in name])
    encoder = load_dass_checkpoint(file, DASSEncoder([1, 3], [16, 32]))
    assert torch.equal(encoder.norm.weight, source[0].norm.weight)


@pytest.mark.parametrize("target", ["ss2d", "block"])
def test_a_smoothed_encoder_loads_the_same(file, source, target):
    encoder = smooth_blocks(DASSEncoder([1, 3], [16, 32]), stage=1, blocks=[0, 2], target=target)
    load_dass_checkpoint(file, encoder)
    for name, value in source[0].state_dict().items():
        assert torch.equal(encoder.state_dict()[name], value), name


def refused(file, message, encoder=None, head=None):
    """Check the message and that neither encoder nor head changed."""
    encoder = encoder or DASSEncoder([1, 3], [16, 32])
    parts = [encoder] if head is None else [encoder, head]
    before = copy.deepcopy([part.state_dict() for part in parts])
    with pytest.raises(LungSRADError, match=message) as caught:
        load_dass_checkpoint(file, encoder, head)
    assert str(file) in str(caught.value)
    for part, state in zip(parts, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())
    return str(caught.value)


def test_missing_names_are_listed(file, layout):
    gone = file_name("layers.1.blocks.2.op.x_proj_weight", layout), file_name("norm.bias", layout)
    edit(file, lambda stored: [stored.pop(name) for name in gone])
    message = refused(file, "missing: ")
    assert all(name in message for name in gone)
    assert "unexpected" not in message


def test_unexpected_names_are_listed(file):
    edit(file, lambda stored: stored.update({"module.v.gate.weight": torch.zeros(1), "dass.gate": torch.zeros(1)}))
    message = refused(file, "unexpected: ")
    assert "module.v.gate.weight" in message
    assert "dass.gate" in message
    assert "missing" not in message


def test_misshapen_names_are_listed(file, layout):
    name = file_name("layers.0.blocks.0.op.dt_projs_weight", layout)
    edit(file, lambda stored: stored.update({name: torch.zeros(3, 7)}))
    message = refused(file, "of another shape: ")
    expected = {"released": "(4, 16, 1)", "hub": "(64, 1)"}[layout]
    assert f"{name} (3, 7) instead of {expected}" in message


def test_all_problems_are_listed_at_once(file, layout):
    def change(stored):
        stored["more"] = torch.zeros(1)
        del stored[file_name("norm.bias", layout)]
        stored[file_name("norm.weight", layout)] = torch.zeros(2)

    edit(file, change)
    message = refused(file, "missing: ")
    assert "unexpected: more" in message
    assert "(2,) instead of (32,)" in message


def test_another_size_of_encoder_is_a_short_list(file):
    message = refused(file, "do not fit", encoder=DASSEncoder([1, 2], [16, 48]))
    assert " and " in message
    assert "unexpected" in message
    assert len(message) < 3000


def test_head_of_another_size_is_refused_before_anything_is_loaded(file, layout):
    message = refused(file, "of another shape", head=torch.nn.Linear(32, 4))
    assert f"{file_name('head.weight', layout)} (5, 32) instead of (4, 32)" in message


def test_file_without_head_is_refused_where_a_head_is_given(file):
    edit(file, lambda stored: [stored.pop(name) for name in list(stored) if ".head." in name or name[:5] == "head."])
    refused(file, r"missing: \S*head.weight, \S*head.bias", head=torch.nn.Linear(32, 5))


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "."])
def test_absent_file_is_refused(tmp_path, name):
    refused(tmp_path / name, "not found; give the path of DASS_medium_v2.pth")


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>Not Found</html>", b"\x80\x02X" * 40])
def test_broken_file_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name, "not a readable")
    assert "\n" not in message


def test_cut_off_file_is_refused(file):
    file.write_bytes(file.read_bytes()[:-5000])
    refused(file, "not a readable")


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"module.v.norm": print}, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", "not a readable torch file")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"model": {"weight": torch.zeros(1)}}, {3: torch.zeros(1)}])
def test_another_structure_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", "dictionary of names and tensors")


@pytest.mark.parametrize("content", [{}, {"blocks.0.weight": torch.zeros(1)}])
def test_another_layout_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    message = refused(tmp_path / "weights.pth", "names that start with module.v.")
    assert next(iter(content), "none") in message


def test_encoder_with_batch_norm_is_refused(file):
    with pytest.raises(LungSRADError, match="published weights have norm='layer'"):
        load_dass_checkpoint(file, DASSEncoder([1, 3], [16, 32], norm="batch"))
