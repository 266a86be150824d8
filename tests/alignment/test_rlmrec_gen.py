import pytest
import torch

from recbole_darec.backbone.output import CollaborativeOutput

GEN = frozenset({"gen"})


def published(made, targets, temperature):
    made = torch.nn.functional.normalize(made)
    targets = torch.nn.functional.normalize(targets)
    hits = torch.exp((made * targets).sum(1) / temperature)
    total = torch.exp(made @ targets.T / temperature).sum(1)
    return -torch.log(hits / (total + 1e-8) + 1e-8).mean()


def build(world, absent=(), **changes):
    sides = world.side(30, absent=absent), world.side(40, absent=absent)
    return world.build("RLMRecGen", *sides, **changes), torch.randn(70, 4).requires_grad_()


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
def test_mask_replaces_that_share_of_rows_by_the_token(world, ratio):
    model, ego = build(world, gen_mask_ratio=ratio)
    with torch.no_grad():
        model.mask_token.copy_(torch.arange(4.0))
    masked = model.mask(ego)
    changed = (masked != ego).any(1)
    assert changed.nonzero().flatten().tolist() == sorted(model.seeds.tolist())
    assert len(set(model.seeds.tolist())) == int(68 * ratio)
    assert torch.equal(masked[changed], model.mask_token.expand(int(68 * ratio), 4))


def test_rows_without_text_are_never_masked(world):
    model, ego = build(world, absent=(3, 9), gen_mask_ratio=1.0)
    unchanged = (model.mask(ego) == ego).all(1).nonzero().flatten().tolist()
    assert unchanged == [0, 3, 9, 30, 33, 39]


@pytest.mark.parametrize("temperature", [0.2, 0.5])
def test_term_is_the_published_one_on_the_masked_rows(world, temperature):
    model, ego = build(world, gen_mask_ratio=0.4, gen_temperature=temperature)
    masked = model.mask(ego)
    mixing = torch.randn(70, 70, generator=torch.Generator().manual_seed(1))
    made = mixing @ masked
    value = model(CollaborativeOutput(made[:30], made[30:]), world.batch([1], [1], [1]), GEN)
    tables = torch.cat([model.users_side.table, model.items_side.table])
    expected = published(model.projection(made[model.seeds]), tables[model.seeds], temperature)
    assert value["gen"].item() == pytest.approx(expected.item(), rel=1e-6)
    value["gen"].backward()
    for parameter in model.parameters():
        assert parameter.grad.any()


def test_a_masked_row_without_interactions_leaves_gradients_of_usual_size(world):
    """The token is 0 at first, and so is what a backbone makes of it; it has a direction yet."""
    model, ego = build(world, gen_mask_ratio=1.0)
    made = model.mask(ego)
    assert not made[model.seeds].any()
    value = model(CollaborativeOutput(made[:30], made[30:]), world.batch([1], [1], [1]), GEN)
    value["gen"].backward()
    gradients = [model.mask_token.grad, *(p.grad for p in model.projection.parameters())]
    assert all(gradient.norm() < 100 for gradient in gradients)
    assert model.mask_token.grad.norm() > 1e-3


def test_evaluation_and_weight_0_leave_the_rows_and_the_generator_alone(world):
    model, ego = build(world)
    for idle in ({"alignment_weight": 0.0}, {"gen_weight": 0.0}):
        other, _ = build(world, **idle)
        before = other.generator.get_state()
        assert other.mask(ego) is ego
        assert torch.equal(before, other.generator.get_state())
    assert model.eval().mask(ego) is ego


def test_each_step_masks_other_rows_the_same_for_the_same_seed(world):
    steps = []
    for _ in range(2):
        model, ego = build(world)
        drawn = []
        for _ in range(2):
            model.mask(ego)
            drawn.append(model.seeds.tolist())
        steps.append(drawn)
    assert steps[0] == steps[1]
    assert steps[0][0] != steps[0][1]


def test_no_text_at_all(world):
    model = world.build("RLMRecGen", world.side(3, absent=(1, 2)), world.side(2, absent=(1,)))
    ego = torch.ones(5, 4, requires_grad=True)
    assert torch.equal(model.mask(ego), ego)
    value = model(CollaborativeOutput(ego[:3], ego[3:]), world.batch([1], [1], [1]), GEN)["gen"]
    value.backward()
    assert value.item() == 0


def test_without_a_mask_there_is_nothing_to_reconstruct(world):
    model, ego = build(world)
    output = CollaborativeOutput(ego[:30], ego[30:])
    with pytest.raises(RuntimeError, match=r"call mask\(\) in each step first"):
        model(output, world.batch([1], [1], [1]), GEN)
    assert model(output, world.batch([1], [1], [1]), frozenset()) == {}
