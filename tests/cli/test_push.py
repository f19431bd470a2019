"""Pushing a model to a stand-in of the hub and reading it back: what goes, what stays, and what is asked first."""

import shutil
import sys

import huggingface_hub
import numpy as np
import pytest
import soundfile
from hub_server import TOKEN, problems_of_card

from lung_srad_plugin import LungSoundClassifier, LungSRADError
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.export.model_card import write_card
from lung_srad_plugin.export.model_folder import read_config
from lung_srad_plugin.export.push import plan_push, send
from lung_srad_plugin.inference.starter_model import starter_folder
from lung_srad_plugin.utils.files import RECORD, record_folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; return exit code, standard output, standard error."""

    def call(*arguments, answer=None):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: answer is not None, raising=False)
        monkeypatch.setattr("typer.confirm", lambda text, default: answer)
        with pytest.raises(SystemExit) as ended:
            cli.main([*map(str, arguments)])
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return call


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 48000), 16000)
    return path


@pytest.fixture
def model(model_folder, tmp_path):
    """A copy of an exported model, to be changed."""
    return shutil.copytree(model_folder, tmp_path / "model")


def names_of(folder):
    return {path.name for path in folder.iterdir()} - {RECORD}


def test_the_starter_model_comes_back_and_gives_identical_answers(run, hub_server, noise):
    code, out, err = run("push", "starter", "owner/lung", "--yes")
    assert code == 0 and 'from_hparams("owner/lung")' in out, err
    assert hub_server.repositories["owner/lung"].private
    assert set(hub_server.repositories["owner/lung"].files) == names_of(starter_folder())
    fetched = LungSoundClassifier.from_hparams("owner/lung", run_opts={"device": "cpu"})
    here = LungSoundClassifier.from_hparams(run_opts={"device": "cpu"})
    assert fetched.classify_file(noise).to_dict() == here.classify_file(noise).to_dict()
    assert any(method == "GET" and path.endswith("/novelty.safetensors") for method, path in hub_server.requests)


def test_an_exported_model_comes_back_and_gives_identical_answers(hub_server, model_folder, classifier, noise):
    send(plan_push(model_folder, "hf://owner/tiny"))
    fetched = LungSoundClassifier.from_hparams("owner/tiny", run_opts={"device": "cpu"})
    assert fetched.classify_file(noise) == classifier.classify_file(noise)


def test_what_goes_is_shown_before_it_goes(run, hub_server):
    code, out, err = run("push", "starter", "owner/lung")
    assert code == 2 and "add --yes" in err
    size = (starter_folder() / "embedding_model.ckpt").stat().st_size
    lines = [line.split() for line in out.splitlines()]
    assert ["new", f"{size:,}", "bytes", "embedding_model.ckpt"] in lines
    assert f"to {hub_server.address}/owner/lung  (private" in out and "your account: owner" in out
    assert "licence: apache-2.0" in out and "KAUH" in out and "CC BY 4.0" in out
    assert not hub_server.changing() and not hub_server.repositories


@pytest.mark.parametrize(
    ("repository", "who"), [("owner/lung", "only you can see it"), ("clinic/lung", "only members of clinic can see it")]
)
def test_who_will_see_a_private_repository_is_said(run, hub_server, model, repository, who):
    _, out, _ = run("push", str(model), repository)
    assert f"(private: {who}; the repository is made; your account: owner)" in out


@pytest.mark.parametrize("answer", [False, None])
def test_nothing_changes_on_the_hub_without_consent(run, hub_server, model, answer):
    code, _, err = run("push", model, "owner/tiny", answer=answer)
    assert code == 2 and "nothing was sent" in err
    assert not hub_server.changing() and not hub_server.repositories


def test_consent_at_a_terminal_sends(run, hub_server, model):
    code, _, _ = run("push", model, "owner/tiny", "--public", answer=True)
    assert code == 0 and not hub_server.repositories["owner/tiny"].private


def test_only_what_changed_is_sent_again(run, hub_server, model):
    run("push", model, "owner/tiny", "--yes")
    first = list(hub_server.uploads)
    assert len(first) == len(set(first)) >= 4
    code, out, _ = run("push", model, "owner/tiny")  # nothing to ask about
    assert code == 0 and "nothing to send" in out and len(hub_server.repositories["owner/tiny"].commits) == 2
    card = model / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nOne more sentence.\n", encoding="utf-8")
    (model / RECORD).unlink()
    record_folder(model)  # as if an export had written it so
    code, out, _ = run("push", model, "owner/tiny", "--yes")
    assert code == 0 and [line.split()[-1] for line in out.splitlines() if " changed " in line] == ["README.md"]
    assert hub_server.uploads == first
    assert b"One more sentence." in hub_server.repositories["owner/tiny"].files["README.md"]


def test_files_of_an_earlier_model_are_removed_and_those_of_others_kept(hub_server, model):
    send(plan_push(model, "owner/tiny"))
    repository = hub_server.repositories["owner/tiny"]
    files = {**repository.files, "photo.png": b"a photo", ".gitattributes": b""}
    repository.commits.append(("1" * 40, files))
    plan = plan_push(starter_folder(), "owner/tiny")
    removed = {file.name for file in plan.files if file.change == "removed"}
    assert removed == {"embedding_model.safetensors", "classifier.safetensors"}
    send(plan)
    assert set(repository.files) == names_of(starter_folder()) | {"photo.png", ".gitattributes"}
    assert LungSoundClassifier.from_hparams("owner/tiny").config.model == read_config(starter_folder()).model


def test_files_that_no_export_wrote_stay_here(run, hub_server, model):
    (model / "patients.csv").write_text("name\n", encoding="utf-8")
    (model / "recordings").mkdir()
    code, out, _ = run("push", model, "owner/tiny", "--yes")
    assert code == 0 and "patients.csv, recordings" in out
    assert not {"patients.csv", RECORD} & set(hub_server.repositories["owner/tiny"].files)


@pytest.mark.parametrize("name", ["README.md", "model.onnx"])
def test_a_file_that_was_changed_or_put_there_since_is_not_sent(hub_server, model, name):
    (model / name).write_text("changed", encoding="utf-8")
    if name == "README.md":
        with pytest.raises(LungSRADError, match=r"changed since it was exported: README\.md"):
            plan_push(model, "owner/tiny")
    else:
        assert plan_push(model, "owner/tiny").left == [name]
    assert not hub_server.changing()


def test_a_folder_without_the_record_of_an_export_is_refused(hub_server, model):
    (model / RECORD).unlink()
    with pytest.raises(LungSRADError, match=r"nothing shows that an export .* wrote config\.json"):
        plan_push(model, "owner/tiny")


@pytest.mark.parametrize("name", ["lung", "a/b/c", "./owner", "owner/-x", "owner/a--b", "owner/x.git", "ow ner/x"])
def test_a_name_that_the_hub_does_not_admit_is_refused_before_it_is_asked(hub_server, model, name):
    with pytest.raises(LungSRADError, match=r"not a name of the hub.*OWNER/NAME"):
        plan_push(model, name)
    assert not hub_server.requests


def test_without_a_login_the_error_says_how_to_log_in(hub_server, model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(LungSRADError, match=r"not logged in.*hf auth login"):
        plan_push(model, "owner/tiny")
    assert not hub_server.requests


def test_a_private_model_is_read_with_the_login_and_refused_without(hub_server, model, monkeypatch):
    send(plan_push(model, "owner/tiny"))
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(LungSRADError, match="If it is private, log in with: hf auth login"):
        LungSoundClassifier.from_hparams("owner/tiny")


def test_a_wrong_token_or_owner_is_said(hub_server, model, monkeypatch):
    with pytest.raises(LungSRADError, match=r"account owner may not write there.*check that another is"):
        send(plan_push(model, "another/tiny"))
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}_not")
    with pytest.raises(LungSRADError, match=r"does not accept the token.*hf auth login"):
        plan_push(model, "owner/tiny")
    assert not hub_server.repositories


@pytest.mark.parametrize(
    ("route", "status", "expected"),
    [
        ("whoami", 401, "does not accept the token"),
        ("whoami", 500, "failed with status 500 .*on purpose.*push again later"),
        ("repos/create", 403, "may not write there"),
        ("repos/create", 409, "made there meanwhile"),
        ("repos/create", 500, "failed with status 500"),
        ("storage", 403, "may not write there .*an empty repository was made"),
        ("commit", 500, "failed with status 500 .*an empty repository was made"),
    ],
)
def test_errors_of_the_hub_become_messages_and_leave_no_file(hub_server, model, route, status, expected):
    hub_server.failures[route] = status
    with pytest.raises(LungSRADError, match=f"owner/tiny: .*{expected}"):
        send(plan_push(model, "owner/tiny"))
    assert all(not one.files for one in hub_server.repositories.values())


def test_a_change_on_the_hub_after_the_plan_is_not_overwritten(hub_server, model):
    send(plan_push(model, "owner/tiny"))
    repository = hub_server.repositories["owner/tiny"]
    repository.commits.append(("1" * 40, {**repository.files, "README.md": b"theirs"}))
    plan = plan_push(model, "owner/tiny")
    repository.commits.append(("2" * 40, {**repository.files, "README.md": b"newer"}))
    with pytest.raises(LungSRADError, match=r"changed or made there meanwhile.*push again"):
        send(plan)
    assert repository.files["README.md"] == b"newer"


def test_the_visibility_of_a_repository_is_not_changed(hub_server, model):
    send(plan_push(model, "owner/tiny", private=False))
    assert plan_push(model, "owner/tiny").private is False
    with pytest.raises(LungSRADError, match="is public on the hub, not private"):
        plan_push(model, "owner/tiny", private=True)


def test_a_hub_that_is_not_there_is_said(hub_server, model, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LungSRADError, match=r"cannot be reached.*check the network"):
        plan_push(model, "owner/tiny")


def test_paths_of_this_machine_are_pointed_out(hub_server, model):
    card = model / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nSee /home/me/data.\n", encoding="utf-8")
    (model / RECORD).unlink()
    record_folder(model)
    (remark,) = plan_push(model, "owner/tiny").remarks
    assert "README.md holds the path '/home/me/data.'" in remark


def test_cards_pass_the_validator(hub_server, model_folder):
    for folder in (model_folder, starter_folder()):
        huggingface_hub.ModelCard.load(folder / "README.md").validate()
    assert [path for _, path in hub_server.requests].count("/api/validate-yaml") == 2


def test_a_card_that_the_validator_refuses_is_not_sent(hub_server, model):
    card = model / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace("apache-2.0", "nobody-knows", 1), encoding="utf-8")
    (model / RECORD).unlink()
    record_folder(model)
    with pytest.raises(LungSRADError, match=r'refuses what was sent .*"license" must be one of'):
        plan_push(model, "owner/tiny")
    assert not hub_server.changing()


def test_the_card_names_an_experiment_as_the_hub_admits_it(model_folder):
    scores = {"specificity": 1.0, "sensitivity": 1.0, "score": 1.0}
    selected = {"epoch": 1, "cycles": 4, "4class": scores, "2class": scores, "recall": {"normal": 1.0}}
    results = {"experiment": "my tiny (model)/é", "protocol": {"split": "official"}, "selected": {"valid": selected}}
    results |= {"pretrained": None, "parameters": 1, "device": "cpu", "precision": {"training": "fp32"}}
    card = write_card(read_config(model_folder), results)
    assert problems_of_card(card) == []
    assert "type: my_tiny_model_" in card
