"""What every registered backbone promises."""

import copy

import numpy as np
import pytest
import torch
import yaml

from recbole_darec.backbone.base import Backbone
from recbole_darec.graph import BipartiteGraph
from recbole_darec.registry import parts

NAMES = sorted(part.name for part in parts("backbone").values() if "recbole_darec." in part.target)
pytestmark = pytest.mark.parametrize("name", NAMES)


# The default masks the whole of a tiny graph.
KEYS = {"AutoCF": {"n_seeds": 1, "mask_depth": 1}}


@pytest.fixture
def build(defaults):
    def build(name, graph, reg="all"):
        torch.manual_seed(1)
        keys = {"embedding_size": 8, "reg": reg, "reg_weight": 0.01, **KEYS.get(name, {})}
        return parts("backbone")[name].load()(defaults(name, **keys), graph)

    return build


def trained(model, batch, steps=3):
    torch.manual_seed(2)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(model.loss(batch, model()).values()).backward()
        optimiser.step()
    return model


def test_yaml_declares_every_key_with_an_admissible_default(name):
    part = parts("backbone")[name]
    text = part.properties().read_text("utf-8")
    values = yaml.safe_load(text)
    keys = part.load().keys
    assert set(values) == {*keys, "embedding_size"}
    for key, declared in keys.items():
        declared.check(key, values[key])
    for line in text.splitlines():
        assert "#" in line, f"{line!r} has no comment"


def test_search_space_is_of_declared_keys(name):
    cls = parts("backbone")[name].load()
    assert set(cls.search_space) <= {*cls.keys, "learning_rate"}
    assert cls.search_space


def test_shapes_terms_and_gradients(name, build, tiny_graph, tiny_batch):
    model = build(name, tiny_graph)
    model.train()
    output = model()
    assert isinstance(model, Backbone)
    assert output.users.shape == (9, model.dim)
    assert output.items.shape == (7, model.dim)
    terms = model.loss(tiny_batch, output)
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("reg", ["all", "batch"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_single(name, build, tiny_graph, tiny_batch, half, reg):
    def step(enabled):
        model = build(name, tiny_graph, reg=reg)
        torch.manual_seed(4)
        with torch.autocast("cpu", dtype=half, enabled=enabled):
            terms = model.loss(tiny_batch, model())
        sum(terms.values()).backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
        return torch.stack([term.float() for term in terms.values()]), gradients

    (exact, gradients), (terms, found) = step(False), step(True)
    assert found.isfinite().all()
    # bfloat16 has 8 bits of mantissa.
    torch.testing.assert_close(terms, exact, rtol=0.02, atol=0.01)
    assert (found - gradients).norm() < 0.03 * gradients.norm()


def test_gradients_of_the_data_terms_reach_every_parameter(name, build, tiny_graph, tiny_batch):
    model = build(name, tiny_graph)
    model.train()
    terms = model.loss(tiny_batch, model())
    sum(value for key, value in terms.items() if key != "reg").backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


def test_evaluation_keeps_representations_alone(name, build, tiny_graph):
    assert not build(name, tiny_graph).eval()().extras


def test_given_ego_is_what_is_propagated(name, build, tiny_graph):
    model = build(name, tiny_graph).eval()
    ego = torch.randn_like(model.ego())
    given = model(ego)
    with torch.no_grad():
        model.embedding.copy_(ego)
    assert torch.equal(model().users, given.users)


def test_same_seed_gives_the_same_bits(name, build, tiny_graph, tiny_batch):
    first, second = (trained(build(name, tiny_graph), tiny_batch) for _ in range(2))
    for key, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[key], value), key


def test_a_reloaded_state_gives_the_same_representations(name, build, tiny_graph, tiny_batch):
    model = trained(build(name, tiny_graph), tiny_batch).eval()
    other = build(name, copy.deepcopy(tiny_graph)).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other().items, model().items)


def test_training_lowers_the_objective(name, build, tiny_graph, tiny_batch):
    model = build(name, tiny_graph)
    model.train()
    torch.manual_seed(3)
    before = sum(model.loss(tiny_batch, model()).values()).item()
    trained(model, tiny_batch, steps=30)
    model.train()
    torch.manual_seed(3)
    assert sum(model.loss(tiny_batch, model()).values()).item() < before


def test_one_user_and_one_item(name, build):
    graph = BipartiteGraph(np.array([1]), np.array([1]), 2, 2)
    batch = {key: torch.tensor([1]) for key in ("user_id", "item_id", "neg_item_id")}
    model = trained(build(name, graph), batch).eval()
    assert model.score(model().users, model().items).isfinite().all()
