"""The reference scan against numbers computed by hand."""

import math

import torch

from lung_srad_plugin.scan.reference import cross_scan_reference, selective_scan_reference, traversals


def test_three_steps_computed_by_hand():
    # One channel, one state, A = -log 2, so that a step of delta halves the state delta times.
    u = torch.tensor([[[1.0, 2.0, -1.0]]])
    delta = torch.tensor([[[1.0, 2.0, 1.0]]])
    A = torch.tensor([[-math.log(2)]])
    B = torch.tensor([[[3.0, 1.0, 2.0]]])
    C = torch.tensor([[[1.0, 2.0, -1.0]]])
    D = torch.tensor([0.5])
    # h1 = 1*3*1 = 3;  h2 = 3/4 + 2*1*2 = 4.75;  h3 = 4.75/2 + 1*2*(-1) = 0.375
    # y1 = 3 + 0.5 = 3.5;  y2 = 2*4.75 + 1 = 10.5;  y3 = -0.375 - 0.5 = -0.875
    y = selective_scan_reference(u, delta, A, B, C, D)
    torch.testing.assert_close(y, torch.tensor([[[3.5, 10.5, -0.875]]]))


def test_bias_and_softplus_come_first():
    u, A = torch.tensor([[[1.0]]]), torch.tensor([[-1.0]])
    one = torch.ones(1, 1, 1)
    # softplus(1 - 1) = log 2
    y = selective_scan_reference(u, one, A, one, one, None, torch.tensor([-1.0]), delta_softplus=True)
    torch.testing.assert_close(y, torch.tensor([[[math.log(2)]]]))


def test_states_add_up_and_groups_keep_their_channels():
    u, one = torch.ones(1, 2, 1), torch.ones(1, 2, 1)
    A = -torch.ones(2, 2)
    B = torch.tensor([[[[1.0], [2.0]], [[10.0], [20.0]]]])
    C = torch.tensor([[[[1.0], [1.0]], [[1.0], [0.5]]]])
    # group 0, channel 0: 1 + 2;  group 1, channel 1: 10 + 20/2
    y = selective_scan_reference(u, one, A, B, C)
    torch.testing.assert_close(y, torch.tensor([[[3.0], [20.0]]]))


def test_the_four_traversals_of_a_map_computed_by_hand():
    # Without decay and with steps of 1 each output is the sum of what has been visited so far.
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[None, :, :, None]
    ones = torch.ones(1, 2, 3, 4, 1)
    step_of_one = math.log(math.e - 1) - 1
    y = cross_scan_reference(
        x, ones, ones, ones, torch.zeros(4, 1, 1), torch.zeros(4, 1), torch.full((4, 1), step_of_one)
    )
    # Forward and backward together: the sum of the map, 21, and the position once more; for rows and for columns.
    torch.testing.assert_close(y[0, :, :, 0], torch.tensor([[44.0, 46.0, 48.0], [50.0, 52.0, 54.0]]))


def test_traversals_visit_every_position_once():
    order = traversals(3, 5)
    assert (order.sort(dim=1).values == torch.arange(15)).all()
    assert order[1, :4].tolist() == [0, 5, 10, 1]
    assert (order[2:] == order[:2].flip(1)).all()


def test_each_traversal_has_its_own_parameters():
    # Only traversal 1 (columns) writes: an impulse then reaches what is below it and later columns, nothing else.
    x = torch.zeros(1, 2, 2, 1)
    x[0, 0, 1] = 1
    ones, B = torch.ones(1, 2, 2, 4, 1), torch.zeros(1, 2, 2, 4, 1)
    B[..., 1, :] = 1
    A = torch.full((4, 1, 1), -math.log(2))
    y = cross_scan_reference(x, ones, B, ones, A, torch.zeros(4, 1), torch.full((4, 1), math.log(math.e - 1) - 1))
    torch.testing.assert_close(y[0, :, :, 0], torch.tensor([[0.0, 1.0], [0.0, 0.5]]))
