"""The schedule of every alignment by loss terms: warm-up and terms of every k-th step."""

import pytest
import torch

from recbole_darec.alignment.loss_alignment import LossAlignment
from recbole_darec.registry import alignment_class, parts

# Of each its terms, and what makes them the same in every call.
SAME_EVERY_CALL = {
    "DaRec": (("or",), {"n_sampled": 100, "alignment_every": 1, "alignment_warmup": 0}),
    "RLMRecCon": (("con",), {}),
    "RLMRecGen": (("gen",), {"gen_mask_ratio": 1.0}),
}
NAMES = [name for name in parts("alignment") if issubclass(alignment_class(name), LossAlignment)]


def build(world, name, **changes):
    terms, settings = SAME_EVERY_CALL[name]
    sides = world.side(7, absent=(2,)), world.side(9, absent=(2,))
    model = world.build(name, *sides, **{**settings, **changes})
    output, batch = world.output(7, 9), world.batch([1, 4], [3, 8], [5, 6])

    def value():
        model.mask(torch.cat([output.users, output.items]))
        return model(output, batch, frozenset(terms))[terms[0]].item()

    return model, value


@pytest.mark.parametrize("name", NAMES)
def test_warmup_grows_in_training_only(world, name):
    full = build(world, name)[1]()
    _, value = build(world, name, alignment_warmup=4)
    assert [value() / full for _ in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    model, value = build(world, name, alignment_warmup=4)
    value()
    resumed, value = build(world, name, alignment_warmup=4)
    resumed.load_state_dict(model.state_dict())
    assert value() / full == pytest.approx(0.5)
    resumed.eval()
    assert [value() / full for _ in range(2)] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("name", NAMES)
def test_terms_of_every_third_step_count_three_times(world, name):
    full = build(world, name)[1]()
    model, value = build(world, name, alignment_every=3)
    assert [value() / full for _ in range(4)] == pytest.approx([3, 0, 0, 3])
    resumed, value = build(world, name, alignment_every=3)
    resumed.load_state_dict(model.state_dict())
    assert [value(), value()] == [0, 0]
    assert value() / full == pytest.approx(3)
    value()
    resumed.eval()
    assert not resumed.leaves_out()


def test_rlmrec_gen_masks_nothing_in_a_step_that_is_left_out(world):
    model, value = build(world, "RLMRecGen", alignment_every=2)
    ego = torch.randn(16, 4)
    assert model.mask(ego) is not ego
    value()
    before = model.generator.get_state()
    assert model.mask(ego) is ego
    assert torch.equal(before, model.generator.get_state())
