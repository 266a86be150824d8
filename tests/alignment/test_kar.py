import pytest
import torch


def build(world, **changes):
    sides = world.side(7, absent=(2,)), world.side(9, absent=(5,))
    return world.build("KAR", *sides, **changes), world.output(7, 9)


@pytest.mark.parametrize(("shared", "specific"), [(2, 2), (0, 1), (3, 1)])
def test_each_row_gets_its_gated_mixture_of_experts(world, shared, specific):
    model, output = build(
        world, kar_shared_experts=shared, kar_specific_experts=specific, alignment_weight=0.3
    )
    world.randomise_biases(model)
    fused = model.fuse(output)
    for rows, scored, side, own, gate in (
        (output.users, fused.users, model.users_side, model.users_experts, model.users_gate),
        (output.items, fused.items, model.items_side, model.items_experts, model.items_gate),
    ):
        experts = [*model.shared, *own]
        assert len(experts) == shared + specific
        for i in range(len(rows)):
            text = side.table[i : i + 1]
            shares = torch.exp(gate(text)[0]) / torch.exp(gate(text)[0]).sum()
            mixed = sum(
                share * expert(text)[0] for share, expert in zip(shares, experts, strict=True)
            )
            expected = rows[i] + 0.3 * mixed if side.present[i] else rows[i]
            torch.testing.assert_close(scored[i], expected)


def test_it_learns_through_the_scored_representation(world):
    model, output = build(world)
    assert model.fuses
    assert model(output, world.batch([1], [1], [1]), frozenset()) == {}
    fused = model.fuse(output)
    (fused.users.square().sum() + fused.items.square().sum()).backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


def test_weight_0_scores_the_backbone_to_the_bit(world):
    model, output = build(world, alignment_weight=0.0)
    fused = model.fuse(output)
    assert torch.equal(fused.users, output.users)
    assert torch.equal(fused.items, output.items)
    assert not model.fuses
    at = model.fuse_at(torch.tensor([1, 3]), output)
    assert torch.equal(at.users, output.users)
    assert torch.equal(at.items, output.items)
