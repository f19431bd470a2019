"""Which epoch a rule selects, from the metrics of all epochs."""

import pytest

from lung_srad_plugin.runs.selection import METRICS, RULES, EpochSelection, metrics_of_part


def metas(*epochs):
    """The metadata of checkpoints: each epoch given as (sensitivity, score)."""
    return [
        {"epoch": number, "valid_sensitivity": sensitivity, "valid_score": score}
        for number, (sensitivity, score) in enumerate(epochs, start=1)
    ]


def selected(selection, found, rule="valid"):
    return max(found, key=lambda meta: selection.rank(meta, rule))["epoch"]


def test_an_epoch_that_calls_everything_normal_does_not_win():
    epochs = metas((0.0, 50.0), (20.0, 45.0), (5.0, 48.0))
    assert selected(EpochSelection(), epochs) == 2
    assert selected(EpochSelection(min_sensitivity=None), epochs) == 1
    assert selected(EpochSelection(min_sensitivity=4.9), epochs) == 3


def test_the_first_of_equal_epochs_wins():
    epochs = metas((20.0, 45.0), (30.0, 60.0), (40.0, 60.0), (10.0, 60.0))
    assert selected(EpochSelection(), epochs) == 2
    # As in version 0.1.
    assert selected(EpochSelection.of_settings({}), epochs) == 4


def test_where_no_epoch_reaches_the_minimum_the_best_of_all_is_selected_and_the_text_says_so():
    epochs = metas((0.0, 50.0), (5.0, 51.0), (1.0, 51.0))
    selection = EpochSelection()
    assert selected(selection, epochs) == 2
    assert not selection.reaches_minimum(epochs[1]["valid_sensitivity"])
    assert "NO epoch had a sensitivity above 5 %" in selection.text("valid", reached=False)


@pytest.mark.parametrize("select_by", METRICS)
def test_each_metric_selects_its_own_best_epoch(select_by):
    names = list(METRICS)
    epochs = [
        {"epoch": epoch, "valid_sensitivity": 50.0, **{f"valid_{one}": float(one == name) for one in names}}
        for epoch, name in enumerate(names, start=1)
    ]
    assert selected(EpochSelection(select_by), epochs) == 1 + names.index(select_by)
    assert METRICS[select_by] in EpochSelection(select_by).text("valid")


def test_a_checkpoint_within_an_epoch_is_never_selected():
    epochs = [*metas((20.0, 45.0)), {"intra-epoch_ckpt": True}]
    for rule in ("valid", "last"):
        assert max(epochs, key=lambda meta: EpochSelection().rank(meta, rule)) is epochs[0]
        assert not EpochSelection().applies_to(epochs[1], rule)


def test_last_is_the_last_whatever_its_scores():
    assert selected(EpochSelection(), metas((20.0, 60.0), (0.0, 0.0)), "last") == 2


def test_texts_say_where_the_test_set_chose():
    texts = {rule: EpochSelection().text(rule) for rule in RULES}
    assert "test" not in texts["valid"] + texts["last"]
    assert "optimistic" in texts["test"]
    assert "the test set chose this epoch" in EpochSelection().text("valid", valid_is_test=True)


def test_the_mean_over_data_sets_selects_where_it_is_asked_for():
    """The second epoch is better on most cycles, the first on both data sets alike."""
    stats = [
        {"score": 60.0, "sensitivity": 50.0, "over_data_sets": {"score": 58.0, "sensitivity": 30.0}},
        {"score": 70.0, "sensitivity": 4.0, "over_data_sets": {"score": 55.0, "sensitivity": 40.0}},
        {"score": 65.0, "sensitivity": 50.0, "over_data_sets": {"score": 59.0, "sensitivity": 3.0}},
    ]
    rest = dict.fromkeys(METRICS, 0.0)
    epochs = [
        {"epoch": epoch, **metrics_of_part("valid", {**rest, **entry})} for epoch, entry in enumerate(stats, start=1)
    ]
    over = EpochSelection(over="datasets")
    assert selected(EpochSelection(), epochs) == 3
    assert selected(over, epochs) == 1
    assert [over.reaches_minimum(over.sensitivity(entry)) for entry in stats] == [True, True, False]
    assert "Score (mean over data sets) on the validation cycles" in over.text("valid")
    assert not over.applies_to({"epoch": 1, "valid_score": 60.0, "valid_sensitivity": 50.0}, "valid")


def test_selection_of_settings():
    settings = {"select_by": "auroc", "min_sensitivity": None, "training_version": 2}
    assert EpochSelection.of_settings(settings) == EpochSelection("auroc", None)
    assert EpochSelection.of_settings({**settings, "select_over": "datasets"}).over == "datasets"
