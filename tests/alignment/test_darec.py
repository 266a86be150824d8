"""DaRec's terms as a whole: values, gradients, cost and the meaning of each key."""

import math

import pytest
import torch

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.data.side_embeddings import SideEmbeddings
from recbole_darec.keys import ConfigError

ALL = frozenset({"or", "uni", "glo", "loc"})
TERMS = sorted(ALL)


PLAIN = {
    "n_centers": 3,
    "alignment_every": 1,
    "alignment_warmup": 0,
    "anchor": "none",
    "detach": "none",
    "embedding_transform": "none",
    "projection_layers": 2,
}


def small(world, dtype=torch.float64, absent=(2,), **changes):
    users, items = world.side(7, absent=absent), world.side(9, absent=absent)
    model = world.build("DaRec", users, items, **{**PLAIN, **changes}).to(dtype)
    output = world.output(7, 9)
    rows = (output.users.detach().to(dtype), output.items.detach().to(dtype))
    output = CollaborativeOutput(*(row.requires_grad_() for row in rows))
    return model, output, world.batch([1, 4], [3, 8], [5, 6])


def present(output):
    """The collaborative rows that have text, if row 2 of each kind has none."""
    return torch.cat([output.users[[1, 3, 4, 5, 6]], output.items[[1, 3, 4, 5, 6, 7, 8]]])


def cosine(x, y):
    return (x @ y / x.norm() / y.norm()).item()


def reference_terms(ours, theirs, starts, t=2.0):
    """Plain loops over ``(specific, shared)`` of each side; K-means starts from ``starts``."""
    n, result = len(ours[0]), {}
    result["or"] = sum(
        cosine(side[0][i], side[1][i]) ** 2 / n for side in (ours, theirs) for i in range(n)
    )
    result["uni"] = 0.0
    for specific, _ in (ours, theirs):
        unit = [row / row.norm() for row in specific]
        pairs = [
            math.exp(-t * (unit[i] - unit[j]).square().sum().item())
            for i in range(n)
            for j in range(n)
            if i != j
        ]
        result["uni"] += math.log(sum(pairs) / len(pairs))
    shared = (ours[1], theirs[1])
    result["glo"] = sum(
        (cosine(shared[0][i], shared[0][j]) - cosine(shared[1][i], shared[1][j])) ** 2 / n**2
        for i in range(n)
        for j in range(n)
    )
    result["loc"] = reference_local(shared, starts)
    return result


def reference_local(shared, starts):
    from itertools import permutations

    means = []
    for rows, centers in zip(shared, starts, strict=True):
        labels = [
            min(range(3), key=lambda c, r=row, s=centers: (r - s[c]).norm().item()) for row in rows
        ]
        assert set(labels) == {0, 1, 2}
        means.append(
            [
                torch.stack([r for r, c in zip(rows, labels, strict=True) if c == k]).mean(0)
                for k in range(3)
            ]
        )
    best = min(
        permutations(range(3)),
        key=lambda p: sum((means[0][i] - means[1][j]).norm().item() for i, j in enumerate(p)),
    )
    total = 0.0
    for i in range(3):
        for j in range(3):
            s = cosine(means[0][i], means[1][best[j]])
            total += (s - 1) ** 2 / 3 if i == j else s**2 / 6
    return total


def test_terms_equal_plain_loops_on_all_rows_with_text(world):
    model, output, batch = small(world)
    present_users, present_items = [1, 3, 4, 5, 6], [1, 3, 4, 5, 6, 7, 8]
    ours = torch.cat([output.users[present_users], output.items[present_items]]).detach()
    theirs = torch.cat(
        [model.users_side.table[present_users], model.items_side.table[present_items]]
    )
    with torch.no_grad():
        parts = (
            (model.collaborative_specific(ours), model.collaborative_shared(ours)),
            (model.semantic_specific(theirs), model.semantic_shared(theirs)),
        )
    starts = [part[1][[0, 5, 9]] for part in parts]
    model.centers[0].centers.copy_(torch.stack(starts))
    model.centers[0].calls.fill_(1)
    terms = model(output, batch, ALL)
    expected = reference_terms(*parts, starts)
    assert list(terms) == ["or", "uni", "glo", "loc"]
    for name, value in terms.items():
        assert value.item() == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("structure", ["joint", "separate"])
@pytest.mark.parametrize("anchor", ["none", "detach", "raw"])
@pytest.mark.parametrize("term", TERMS)
def test_each_term_reaches_present_rows_of_the_backbone_and_no_other(
    world, term, anchor, structure
):
    model, output, batch = small(world, structure=structure, anchor=anchor)
    terms = model(output, batch, frozenset({term}))
    assert list(terms) == [term]
    terms[term].backward()
    for rows, side in ((output.users, model.users_side), (output.items, model.items_side)):
        assert (rows.grad.abs().sum(1) > 0).tolist() == side.present.tolist()


@pytest.mark.parametrize("term", TERMS)
def test_gradients_are_exact(world, term):
    model, output, batch = small(world)
    model(output, batch, ALL)
    start = model.centers[0].centers.clone()

    def value(users, items):
        model.centers[0].centers.copy_(start)
        return model(CollaborativeOutput(users, items), batch, frozenset({term}))[term]

    assert torch.autograd.gradcheck(value, [output.users, output.items])


def test_all_terms_together_train_every_parameter(world):
    model, output, batch = small(world)
    sum(model(output, batch, ALL).values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def encoder_gradients(model, output, batch, term):
    model(output, batch, frozenset({term}))[term].backward()
    return {
        name: any(
            p.grad is not None and bool(p.grad.any()) for p in getattr(model, name).parameters()
        )
        for name in (
            "collaborative_specific",
            "collaborative_shared",
            "semantic_specific",
            "semantic_shared",
        )
    }


@pytest.mark.parametrize("term", ["glo", "loc"])
def test_detached_anchor_keeps_the_semantic_shared_encoder(world, term):
    assert encoder_gradients(*small(world), term)["semantic_shared"]
    assert not encoder_gradients(*small(world, anchor="detach"), term)["semantic_shared"]
    assert encoder_gradients(*small(world, anchor="detach"), "or")["semantic_shared"]


def test_raw_anchor_compares_with_the_raw_similarities(world):
    model, output, batch = small(world, anchor="raw")
    users, items = [1, 3, 4, 5, 6], [1, 3, 4, 5, 6, 7, 8]
    ours = model.collaborative_shared(torch.cat([output.users[users], output.items[items]]))
    raw = torch.cat([model.users_side.table[users], model.items_side.table[items]])
    expected = sum(
        (cosine(ours[i], ours[j]) - cosine(raw[i], raw[j])) ** 2 / 144
        for i in range(12)
        for j in range(12)
    )
    glo = model(output, batch, frozenset({"glo"}))["glo"]
    assert glo.item() == pytest.approx(expected, abs=1e-9)
    glo.backward()
    assert all(p.grad is None for p in model.semantic_shared.parameters())


def test_raw_anchor_finds_semantic_clusters_on_the_raw_rows(world):
    seen = []
    for anchor in ("none", "raw"):
        model, output, batch = small(world, anchor=anchor)
        model.centers[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        model(output, batch, frozenset({"loc"}))
    raw = torch.cat([side.table[side.present] for side in (model.users_side, model.items_side)])
    assert torch.equal(seen[1][1], raw)
    assert torch.equal(seen[1][0, :, :4], model.collaborative_shared(present(output)))
    assert not seen[1][0, :, 4:].any()
    assert torch.equal(seen[0][1], model.semantic_shared(raw))


def test_separate_structure_is_the_mean_over_kinds(world):
    separate, output, batch = small(world, structure="separate")
    joint = world.build("DaRec", separate.users_side, separate.items_side, **PLAIN)
    joint.double().load_state_dict(separate.state_dict(), strict=False)
    expected = []
    for kind, n in (("users", 7), ("items", 9)):
        sampled = {
            "users": torch.tensor([], dtype=torch.int64),
            "items": torch.tensor([], dtype=torch.int64),
        }
        sampled[kind] = torch.tensor([i for i in range(1, n) if i != 2])
        joint.sampler = lambda _, s=sampled: (s["users"], s["items"])
        expected.append(joint(output, batch, frozenset({"glo"}))["glo"])
    torch.testing.assert_close(
        separate(output, batch, frozenset({"glo"}))["glo"], torch.stack(expected).mean()
    )


def test_separate_structure_has_centers_of_each_kind(world):
    model, output, batch = small(world, structure="separate")
    model(output, batch, ALL)
    assert [int(centers.calls) for centers in model.centers] == [1, 1]
    users, items = model.centers
    assert not torch.equal(users.centers, items.centers)


@pytest.mark.parametrize("term", ["or", "uni"])
def test_disentanglement_can_spare_the_backbone(world, term):
    free = small(world, detach="disentanglement")
    bound = small(world)
    values = [m(out, batch, ALL)[term] for m, out, batch in (free, bound)]
    torch.testing.assert_close(*values)
    values[0].backward()
    assert free[1].users.grad is None
    assert free[0].collaborative_specific.layers[0].weight.grad.any()
    glo = free[0](free[1], free[2], frozenset({"glo"}))["glo"]
    glo.backward()
    assert free[1].users.grad.any()


@pytest.mark.parametrize("sampling", ["random", "batch"])
@pytest.mark.parametrize("structure", ["joint", "separate"])
def test_no_text_gives_zero_terms_with_a_gradient(world, sampling, structure):
    model, output, batch = small(
        world, absent=tuple(range(1, 7)), sampling=sampling, structure=structure
    )
    if sampling == "random":
        model.sampler.present = [torch.zeros(0, dtype=torch.int64)] * 2
    batch = world.batch([1, 2], [3, 4], [7, 8])
    terms = model(output, batch, ALL)
    assert {name: value.item() for name, value in terms.items()} == dict.fromkeys(ALL, 0)
    sum(terms.values()).backward()
    assert not output.users.grad.any()
    assert not output.items.grad.any()


@pytest.mark.parametrize("structure", ["joint", "separate"])
@pytest.mark.parametrize(("n_users", "n_items"), [(2, 2), (2, 40), (40, 2)])
def test_one_user_or_one_item(world, n_users, n_items, structure):
    items = world.side(n_items)
    items = SideEmbeddings(-items.table.numpy(), items.present.numpy())
    model = world.build("DaRec", world.side(n_users), items, structure=structure)
    output = world.output(n_users, n_items)
    for _ in range(3):
        terms = model(output, world.batch([1], [1], [1]), ALL)
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert torch.isfinite(output.users.grad).all()
    assert torch.isfinite(output.items.grad).all()


@pytest.mark.parametrize("sampling", ["random", "batch"])
def test_rows_through_the_encoders_do_not_grow_with_the_world(world, sampling):
    counts = []
    for size in (300, 3000, 30000):
        sides = world.side(size), world.side(size)
        model = world.build("DaRec", *sides, **PLAIN, n_sampled=64, sampling=sampling)
        seen = []
        for name, part in model.named_children():
            if name.startswith(("collaborative", "semantic")):
                part.register_forward_hook(lambda _, args, __, seen=seen: seen.append(len(args[0])))
        batch = world.batch(list(range(1, 200)), list(range(1, 200)), list(range(1, 200)))
        model(world.output(size, size), batch, ALL)
        counts.append(seen)
    assert counts == [[64] * 4] * 3


def test_a_step_left_out_costs_and_draws_nothing(world):
    model, output, batch = small(world, alignment_every=2)
    model(output, batch, ALL)
    before = model.generator.get_state()
    terms = model(output, batch, ALL)
    assert set(terms) == ALL
    assert not any(term.requires_grad for term in terms.values())
    assert torch.equal(model.generator.get_state(), before)


def test_scored_representation(world):
    for score, fuses in (("backbone", False), ("sum", True), ("semantic", True)):
        model, output, _ = small(world, score=score)
        world.randomise_biases(model)
        assert model.fuses is fuses
        fused = model.fuse(output)
        for rows, scored, side in (
            (output.users, fused.users, model.users_side),
            (output.items, fused.items, model.items_side),
        ):
            added = {
                "backbone": torch.zeros_like(rows),
                "sum": model.collaborative_shared(rows) + model.collaborative_specific(rows),
                "semantic": model.semantic_shared(side.table),
            }[score]
            text = side.present if score == "semantic" else torch.ones_like(side.present)
            for i in range(len(rows)):
                torch.testing.assert_close(scored[i], rows[i] + added[i] if text[i] else rows[i])


def test_same_seed_same_terms_and_the_global_random_state_is_untouched(world):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    results = []
    for _ in range(2):
        model = world.build("DaRec", world.side(300), world.side(300), n_sampled=32)
        output = world.output(300, 300)
        steps = [model(output, world.batch([1], [1], [1]), ALL) for _ in range(3)]
        results.append([[value.item() for value in step.values()] for step in steps])
    assert results[0] == results[1]
    assert results[0][0] != results[0][1]
    assert torch.equal(before, torch.get_rng_state())
    other = world.build("DaRec", world.side(300), world.side(300), n_sampled=32, seed=8)
    assert [v.item() for v in other(output, world.batch([1], [1], [1]), ALL).values()] != results[
        0
    ][0]


def test_resumed_alignment_goes_on_as_if_uninterrupted(world):
    sides = world.side(300), world.side(300)
    first = world.build("DaRec", *sides, n_sampled=32, kmeans_every=2)
    output, batch = world.output(300, 300), world.batch([1], [1], [1])
    first(output, batch, ALL)
    second = world.build("DaRec", *sides, n_sampled=32, kmeans_every=2, seed=99)
    second.load_state_dict(first.state_dict())
    second.generator.set_state(first.generator.get_state())
    for _ in range(2):
        one, two = first(output, batch, ALL), second(output, batch, ALL)
        assert [v.item() for v in one.values()] == [v.item() for v in two.values()]


def test_embedding_tables_are_in_no_checkpoint(world):
    model, _, _ = small(world)
    assert not [name for name in model.state_dict() if "table" in name or "present" in name]


def test_widths_of_users_and_items_must_agree(world):
    with pytest.raises(ConfigError, match="user embeddings are 6 wide and item embeddings 5"):
        world.build("DaRec", world.side(4), world.side(4, dim=5))


def test_mixed_precision_does_not_touch_the_terms(world):
    model, output, batch = small(world, dtype=torch.float32)
    expected = model(output, batch, ALL)
    half = CollaborativeOutput(output.users.bfloat16(), output.items.bfloat16())
    again, _, _ = small(world, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = again(half, batch, ALL)
    for name, value in terms.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected[name].item(), rel=0.02, abs=0.005), name
