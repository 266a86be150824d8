import pytest
import torch

CON = frozenset({"con"})


def published(anchors, positives, candidates, temperature):
    """RLMRec's loss, recomputed: sum over anchors, without any care for overflow."""

    def unit(rows):
        return rows / torch.sqrt(1e-8 + rows.square().sum(-1, keepdim=True))

    anchors, positives, candidates = unit(anchors), unit(positives), unit(candidates)
    hits = (anchors * positives / temperature).sum(-1)
    return (torch.log(torch.exp(anchors @ candidates.T / temperature).sum(-1)) - hits).sum()


def build(world, absent=(), **changes):
    model = world.build("RLMRecCon", world.side(8, absent=absent), world.side(9), **changes)
    # Repeated ids, as batches have them.
    return model, world.output(8, 9), world.batch([1, 4, 4, 7], [3, 8, 3, 3], [5, 6, 1, 5])


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_with_full_coverage_the_term_is_the_published_one(world, temperature):
    model, output, batch = build(world, con_temperature=temperature)
    users = model.projection(model.users_side.table)
    items = model.projection(model.items_side.table)
    expected = published(output.users[batch.users], users[batch.users], users[1:], temperature)
    for ids in (batch.positives, batch.negatives):
        expected = expected + published(output.items[ids], items[ids], items[ids], temperature)
    value = model(output, batch, CON)["con"]
    assert value.item() == pytest.approx(expected.item() / 4, rel=1e-6)
    gradients = torch.autograd.grad(value, [output.users, output.items])
    theirs = torch.autograd.grad(expected / 4, [output.users, output.items])
    for ours, other in zip(gradients, theirs, strict=True):
        torch.testing.assert_close(ours, other)


def test_users_without_text_are_neither_anchors_nor_negatives(world):
    model, output, batch = build(world, absent=(2, 4))
    users = model.projection(model.users_side.table)
    items = model.projection(model.items_side.table)
    kept = torch.tensor([1, 7])
    expected = published(output.users[kept], users[kept], users[[1, 3, 5, 6, 7]], 0.2) / 2
    for ids in (batch.positives, batch.negatives):
        expected = expected + published(output.items[ids], items[ids], items[ids], 0.2) / 4
    assert model(output, batch, CON)["con"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_user_negatives_can_be_those_of_the_batch(world):
    model, output, batch = build(world, con_user_negatives="batch")
    everything, _, _ = build(world)
    users = model.projection(model.users_side.table)
    ids, candidates = batch.users, users[[1, 4, 7]]
    difference = (
        published(output.users[ids], users[ids], users[1:], 0.2)
        - published(output.users[ids], users[ids], candidates, 0.2)
    ) / 4
    value = everything(output, batch, CON)["con"] - model(output, batch, CON)["con"]
    assert value.item() == pytest.approx(difference.item(), rel=1e-5)


@pytest.mark.parametrize("negatives", ["all", "batch"])
def test_no_text_at_all(world, negatives):
    sides = world.side(3, absent=(1, 2)), world.side(3, absent=(1, 2))
    model = world.build("RLMRecCon", *sides, con_user_negatives=negatives)
    output = world.output(3, 3)
    value = model(output, world.batch([1], [1], [2]), CON)["con"]
    value.backward()
    assert value.item() == 0
    assert not output.users.grad.any()


def test_inactive_term_is_not_computed(world):
    model, output, batch = build(world)
    assert model(output, batch, frozenset()) == {}
