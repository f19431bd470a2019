"""Training on several data sets by their shares: what an epoch draws, what is refused, and that resuming is exact."""

import json
from collections import Counter

import pytest
import torch
from speechbrain.dataio.sampler import DistributedSamplerWrapper
from toy import toy_arguments, write_toy_data

from lung_srad_plugin import LungSRADError, read_manifest, read_predictions, write_manifest
from lung_srad_plugin.metrics.table_metrics import compute_metrics
from lung_srad_plugin.nn.losses import class_weights
from lung_srad_plugin.training.brain import LungSoundBrain
from lung_srad_plugin.training.data_sets import check_each_is_scored, plan_draws
from lung_srad_plugin.training.recipe import train
from lung_srad_plugin.training.sampler import EpochSampler

ROWS = [{"dataset": "large"}] * 70 + [{"dataset": "small"}] * 7 + [{"dataset": "middle"}] * 23
SHARES = {"large": 5, "middle": 3, "small": 2}


def test_an_epoch_keeps_its_length_and_has_the_shares():
    draws = plan_draws(ROWS, SHARES, "train.csv")
    drawn = draws.epoch_order(seed=1, epoch=1).tolist()
    assert Counter(ROWS[index]["dataset"] for index in drawn) == {"large": 50, "middle": 30, "small": 20}
    assert plan_draws(ROWS, {name: share / 10 for name, share in SHARES.items()}, "").counts == draws.counts


@pytest.mark.parametrize("epochs", range(1, 8))
def test_every_cycle_is_drawn_before_one_is_drawn_again(epochs):
    draws = plan_draws(ROWS, SHARES, "train.csv")
    drawn = Counter(index for epoch in range(epochs) for index in draws.epoch_order(seed=1, epoch=1 + epoch).tolist())
    for name, count in draws.counts.items():
        times = [drawn[index] for index, row in enumerate(ROWS) if row["dataset"] == name]
        assert sum(times) == epochs * count
        assert max(times) - min(times) <= 1


def test_order_depends_on_seed_and_epoch_alone():
    draws = plan_draws(ROWS, SHARES, "train.csv")
    orders = {tuple(draws.epoch_order(seed, epoch).tolist()) for seed in range(1, 6) for epoch in range(1, 11)}
    assert len(orders) == 50
    order = draws.epoch_order(3, 4)
    torch.manual_seed(7)
    assert torch.equal(plan_draws(ROWS, SHARES, "").epoch_order(3, 4), order)
    # Batches mix the data sets.
    assert len({ROWS[index]["dataset"] for index in order[:20].tolist()}) == 3


def test_processes_share_an_epoch():
    draws = plan_draws(ROWS, SHARES, "train.csv")
    shares = []
    for rank in (0, 1):
        sampler = DistributedSamplerWrapper(
            EpochSampler(len(ROWS), 1, order=draws.epoch_order), num_replicas=2, rank=rank, shuffle=False
        )
        sampler.set_epoch(2)
        shares.append(list(sampler))
    assert [len(share) for share in shares] == [50, 50]
    assert Counter(shares[0] + shares[1]) == Counter(draws.epoch_order(1, 2).tolist())


def test_rounding_gives_what_is_left_to_the_largest_remainders():
    rows = [{"dataset": name} for name in "aabbccc"]
    assert plan_draws(rows, {"a": 1, "b": 1, "c": 1}, "").counts == {"a": 3, "b": 2, "c": 2}
    assert plan_draws(rows, {"a": 0.5, "b": 0.3, "c": 0.2}, "").counts == {"a": 4, "b": 2, "c": 1}


def test_classes_count_as_often_as_they_are_drawn():
    labels = ["normal"] * 60 + ["wheeze"] * 10 + ["wheeze"] * 7 + ["normal"] * 23
    counts = plan_draws(ROWS, SHARES, "").class_counts(labels, ["normal", "wheeze"])
    assert counts == pytest.approx({"normal": 50 * 60 / 70 + 30, "wheeze": 50 * 10 / 70 + 20})
    weights = class_weights(counts, "inverse")
    # Each class has the same weight in an epoch.
    assert weights[0] * counts["normal"] == pytest.approx(float(weights[1] * counts["wheeze"]))


@pytest.mark.parametrize(
    ("rows", "weights", "message"),
    [
        (
            ROWS,
            {"large": 1, "tiny": 1, "huge": 1},
            r"train\.csv, column 'dataset': holds 'large', 'middle', 'small'; .*'tiny', 'huge' not in the manifest; "
            r"no share for 'middle', 'small'",
        ),
        ([*ROWS, {"dataset": ""}], SHARES, "no share for ''"),
        ([{"ID": "1"}], SHARES, r"train\.csv: .*column 'dataset'.*join-manifests"),
        (ROWS, {**SHARES, "small": 0.001}, "small would have no cycle in an epoch of 100"),
    ],
)
def test_shares_that_do_not_fit_the_manifest_are_refused(rows, weights, message):
    with pytest.raises(LungSRADError, match=message):
        plan_draws(rows, weights, "train.csv")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Toy data: train has 18 cycles of ``a`` and 6 of ``b``; in valid and test both have every class."""
    folder = write_toy_data(tmp_path_factory.mktemp("data"))
    for part in ("train", "valid", "test"):
        rows = read_manifest(folder / f"{part}.csv", "{data_root}")
        of_b = [index > 17 if part == "train" else index // 4 % 2 for index in range(len(rows))]
        named = [{**row, "dataset": "ab"[int(is_b)]} for row, is_b in zip(rows, of_b, strict=True)]
        write_manifest(folder / f"{part}.csv", named)
    return folder


class Killed(Exception):
    pass


def test_a_run_draws_by_its_shares_and_resumes_exactly(data, tmp_path, monkeypatch):
    changes = {
        **{"sampling_weights": "{a: 1, b: 2}", "class_weighting": "inverse", "alpha_time": 0, "alpha_frequency": 0},
        **{"grad_accumulation_factor": 2, "number_of_epochs": 2, "report_train": True, "select_over": "datasets"},
    }
    whole = train(toy_arguments(data, tmp_path / "whole", **changes))
    expected = {"a": {"cycles": 18, "drawn": 8}, "b": {"cycles": 6, "drawn": 16}}
    assert whole["training"]["data_sets"] == expected
    assert json.loads((tmp_path / "whole" / "results.json").read_text())["training"]["data_sets"] == expected

    begin = LungSoundBrain.on_fit_batch_start
    batches = []

    def kill_in_the_second_epoch(brain, batch, should_step):
        begin(brain, batch, should_step)
        batches.append(list(batch.id))
        if len(batches) == 9:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(LungSoundBrain, "on_fit_batch_start", kill_in_the_second_epoch)
        train(toy_arguments(data, tmp_path / "parts", **changes))
    drawn = Counter("ab"[int(name) > 17] for name in (name[-3:] for batch in batches[:6] for name in batch))
    assert drawn == {"a": 8, "b": 16}
    resumed = train(toy_arguments(data, tmp_path / "parts", **changes))
    assert resumed["selected"] == whole["selected"]
    histories = [json.loads((tmp_path / name / "results.json").read_text())["history"] for name in ("whole", "parts")]
    assert histories[0] == histories[1]
    with pytest.raises(LungSRADError, match="sampling_weights"):
        train(toy_arguments(data, tmp_path / "parts", **changes | {"sampling_weights": "{a: 1, b: 1}"}))
    check_results_of_each_data_set(tmp_path / "whole")


def check_results_of_each_data_set(run):
    """Everything that a run says of its data sets, against the predictions that it left."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["protocol"]["select_over"] == "datasets"
    assert "(mean over data sets)" in results["protocol"]["selection"]["valid"]
    means = []
    for entry in results["history"]:
        of_each = entry["valid"]["data_sets"]
        assert list(of_each) == ["a", "b"]
        for name in ("score", "sensitivity", "auroc"):
            expected = sum(one[name] for one in of_each.values()) / 2
            assert entry["valid"]["over_data_sets"][name] == pytest.approx(expected)
        over = entry["valid"]["over_data_sets"]
        means.append((over["sensitivity"] > 5, over["score"], -entry["epoch"]))
    assert results["selected"]["valid"]["epoch"] == -max(means)[2]

    table = read_predictions(run / "predictions_test_valid.csv")
    found = results["selected"]["valid"]["data_sets"]
    assert {name: one["cycles"] for name, one in found.items()} == {"a": 8, "b": 4}
    report = json.loads((run / "report" / "report.json").read_text(encoding="utf-8"))
    for group in report["evaluation"]["groups"]["dataset"]:
        part = table.rows([name == group["name"] for name in table.column("dataset")])
        for metric, value in compute_metrics(part).items():
            assert found[group["name"]]["metrics"][metric] == pytest.approx(value)
            assert group["measures"][metric]["value"] == pytest.approx(value)
    text = (run / "results.txt").read_text(encoding="utf-8")
    assert f"{found['b']['metrics']['score_strict_class']:.2f}" in text
    assert "validation cycles of b" in text
    assert "valid b score" in (run / "train_log.txt").read_text(encoding="utf-8")
    for name in ("report.md", "report.html"):
        assert "AUROC wheeze" in (run / "report" / name).read_text(encoding="utf-8").split("Data set")[1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"ID": "1", "label": "normal"}], "needs the column 'dataset'"),
        ([{"ID": str(i), "label": "n" * i, "dataset": "a"} for i in range(3)], "at least two data sets"),
        (
            [{"ID": f"{label}{name}", "label": label, "dataset": name} for label, name in ("na", "wa", "nb", "wc")],
            r"valid\.csv, column 'dataset': b, c needs n and other cycles",
        ),
    ],
)
def test_selection_over_data_sets_needs_cycles_of_each(rows, message):
    with pytest.raises(LungSRADError, match=message):
        check_each_is_scored(rows, "n", "valid.csv")


def test_unknown_names_are_refused_before_features_are_computed(data, tmp_path):
    with pytest.raises(LungSRADError, match="no share for 'b'"):
        train(toy_arguments(data, tmp_path, sampling_weights="{a: 1}", feature_folder=tmp_path / "features"))
    assert not (tmp_path / "features").exists()
