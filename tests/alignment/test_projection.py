import pytest
import torch
from torch import nn

from recbole_darec.alignment.projection import Projection


def test_two_layers_equal_the_formula():
    module = Projection(6, 4, torch.Generator().manual_seed(1))
    first, second = (layer for layer in module.layers if isinstance(layer, nn.Linear))
    assert first.weight.shape == (5, 6)
    rows = torch.randn(3, 6)
    hidden = rows @ first.weight.T + first.bias
    expected = torch.where(hidden > 0, hidden, 0.01 * hidden) @ second.weight.T + second.bias
    torch.testing.assert_close(module(rows), expected)


@pytest.mark.parametrize(("layers", "hidden", "widths"), [(1, None, []), (3, 9, [9, 9])])
def test_depth_and_width(layers, hidden, widths):
    module = Projection(6, 4, torch.Generator(), layers, hidden, "tanh")
    linear = [layer.out_features for layer in module.layers if isinstance(layer, nn.Linear)]
    assert linear == [*widths, 4]
    assert sum(isinstance(layer, nn.Tanh) for layer in module.layers) == layers - 1


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = Projection(6, 4, torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())
    two = Projection(6, 4, torch.Generator().manual_seed(1))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.isfinite(a).all()


def test_biases_are_0_or_drawn_as_pytorch_does():
    for drawn in (False, True):
        module = Projection(400, 100, torch.Generator().manual_seed(1), draw_biases=drawn)
        for layer in module.layers[::2]:
            largest = layer.bias.abs().max().item()
            assert largest <= layer.in_features**-0.5
            assert (largest > 0.9 * layer.in_features**-0.5) == drawn
    assert torch.equal(module(torch.zeros(1, 400)) != 0, torch.ones(1, 100, dtype=torch.bool))


def test_wrong_input():
    with pytest.raises(ValueError, match="d_in=6, hidden=0, d_out=4, layers=2"):
        Projection(6, 4, torch.Generator(), hidden=0)
    with pytest.raises(ValueError, match="activation 'swish' is not one of leaky_relu, relu"):
        Projection(6, 4, torch.Generator(), activation="swish")
