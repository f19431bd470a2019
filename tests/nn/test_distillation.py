"""Teacher tables and the loss of distillation, against numbers computed by hand."""

import numpy as np
import pytest
import torch

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.nn.distillation import DistillationHead, TeacherTable, distillation_loss

CYCLES = {"recording": ["a", "a", "b"], "start": [0.0, 1.25, 0.0], "stop": [1.25, 2.5, 0.9]}
EMBEDDING = np.array([[1.0, 5.0], [3.0, 5.0], [9.0, 5.0]])


def write(path, **changes):
    np.savez(path, **{"embedding": EMBEDDING, **CYCLES, **changes})
    return path


def row(recording, start, stop):
    return {"wav": f"/sounds/{recording}.flac", "start": start, "stop": stop}


def test_cycle_is_found_by_recording_and_times(tmp_path):
    teacher = TeacherTable(write(tmp_path / "t.npz"))
    assert teacher.size == 2
    assert teacher(row("a", 1.2500000001, 2.5)).tolist() == [3.0, 5.0]
    assert teacher(row("b", 0, 0.9)).tolist() == [9.0, 5.0]


def test_features_are_standardised_by_the_training_cycles(tmp_path):
    teacher = TeacherTable(write(tmp_path / "t.npz"))
    teacher.standardize([row("a", 0, 1.25), row("a", 1.25, 2.5)])
    torch.testing.assert_close(teacher(row("a", 0, 1.25)), torch.tensor([-(0.5**0.5), 0.0]))
    torch.testing.assert_close(teacher(row("b", 0, 0.9)), torch.tensor([7 / 2**0.5, 0.0]))


def test_absent_cycles_are_counted_and_one_is_named(tmp_path):
    teacher = TeacherTable(write(tmp_path / "t.npz"))
    with pytest.raises(LungSRADError, match=r"2 of 3 cycles, for example a from 0 to 2\.5 s"):
        teacher.standardize([row("a", 0, 1.25), row("a", 0, 2.5), row("c", 0, 1)])


def test_absent_cycles_may_be_left_out(tmp_path):
    teacher = TeacherTable(write(tmp_path / "t.npz"), missing="skip")
    rows = [row("a", 0, 1.25), row("k", 0, 4), row("a", 1.25, 2.5), row("k", 4, 8)]
    teacher.standardize(rows)
    torch.testing.assert_close(teacher(row("a", 0, 1.25)), torch.tensor([-(0.5**0.5), 0.0]))
    assert teacher(row("k", 0, 4)).isnan().tolist() == [True, True]
    assert "2 of 4 training cycles; " in teacher.describe_missing(rows)
    named = [{**one, "dataset": "kauh" if index else "icbhi"} for index, one in enumerate(rows)]
    assert "2 of 4 training cycles (kauh 2 of 3); " in teacher.describe_missing(named)
    assert teacher.describe_missing(rows[::2]) is None
    with pytest.raises(LungSRADError, match="embeddings of 1 of the 2 training cycles"):
        teacher.standardize(rows[:2])


def test_loss_leaves_out_samples_without_embedding():
    predicted = torch.tensor([[3.0, 4.0], [1.0, 2.0], [1.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[10.0, 0.0], [torch.nan, torch.nan], [-2.0, 0.0]])
    loss = distillation_loss(predicted, teacher)
    assert loss.item() == pytest.approx((1 - 0.6 + 1 + 1) / 2)
    loss.backward()
    assert predicted.grad[1].tolist() == [0, 0]
    assert predicted.grad.isfinite().all()

    none = distillation_loss(predicted, torch.full_like(teacher, torch.nan))
    assert none.item() == 0
    (gradient,) = torch.autograd.grad(none, predicted)
    assert gradient.abs().sum() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": EMBEDDING[:2]}, r"embedding \(2, 2\)"),
        ({"embedding": EMBEDDING[:, 0]}, r"embedding \(3,\)"),
        ({"embedding": EMBEDDING * np.nan}, "not finite"),
        ({"start": [0.0, 0.0, 0.0], "stop": [1.0, 1.0, 1.0]}, "a from 0 to 1 s is there twice"),
        ({"recording": np.array(["a", "a", None])}, "not a numpy archive of arrays"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, changes, message):
    with pytest.raises(LungSRADError, match=message):
        TeacherTable(write(tmp_path / "t.npz", **changes))


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(LungSRADError, match="no such table"):
        TeacherTable(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("text", encoding="utf-8")
    with pytest.raises(LungSRADError, match="not a numpy archive"):
        TeacherTable(tmp_path / "text.npz")
    np.savez(tmp_path / "short.npz", embedding=EMBEDDING, recording=CYCLES["recording"], start=CYCLES["start"])
    with pytest.raises(LungSRADError, match="'stop' is missing"):
        TeacherTable(tmp_path / "short.npz")


def test_loss_by_hand_and_its_gradient():
    predicted = torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[10.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    loss = distillation_loss(predicted, teacher)
    assert loss.item() == pytest.approx((1 - 0.6 + 1 + 1) / 2)
    assert torch.autograd.gradcheck(lambda value: distillation_loss(value, teacher), predicted)


def test_head_learns_a_linear_teacher():
    torch.manual_seed(0)
    features = torch.randn(64, 4)
    teacher = features @ torch.randn(4, 3)
    head = DistillationHead(4, 3)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        distillation_loss(head(features), teacher).backward()
        optimizer.step()
    assert distillation_loss(head(features), teacher).item() < 0.01
