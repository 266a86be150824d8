"""Terms of the objectives where half precision would lose them."""

import pytest
import torch

from recbole_darec.backbone.base import Triples
from recbole_darec.backbone.contrast import info_nce
from recbole_darec.backbone.objectives import batch_l2, bpr_loss
from recbole_darec.backbone.output import CollaborativeOutput

HALVES = pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
ROWS = 4096


@pytest.fixture
def batch():
    return Triples(*(torch.randint(0, 100, (ROWS,)) for _ in range(3)))


def gradient(loss, table, half=None):
    with torch.autocast("cpu", dtype=half, enabled=half is not None):
        value = loss()
    return value.detach(), torch.autograd.grad(value, table)[0]


@HALVES
@pytest.mark.parametrize("squared", [True, False])
def test_l2_keeps_its_gradient(batch, half, squared):
    table = (0.1 * torch.randn(200, 16)).requires_grad_()

    def loss():
        return 1e-5 * batch_l2(table, batch, 100, squared)

    torch.testing.assert_close(gradient(loss, table, half), gradient(loss, table))


@HALVES
@pytest.mark.parametrize("form", ["recbole", "softplus"])
def test_bpr_of_large_negative_margins_is_finite(batch, half, form):
    table = torch.full((100, 16), 1.0).requires_grad_()
    steps = torch.linspace(0, 2, 100)[:, None]

    def loss():
        return bpr_loss(CollaborativeOutput(-table, table * steps), batch, form)

    value, found = gradient(loss, table, half)
    assert value.isfinite()
    torch.testing.assert_close((value, found), gradient(loss, table))


@HALVES
def test_positives_of_a_weak_contrast_keep_their_gradient(half):
    anchors, others = torch.randn(ROWS, 16).requires_grad_(), torch.randn(ROWS, 16)

    def loss():
        return 1e-4 * info_nce(anchors, others, others[:1].expand(2, -1), 0.2)

    found, exact = gradient(loss, anchors, half)[1], gradient(loss, anchors)[1]
    assert (found - exact).norm() < 0.01 * exact.norm()
