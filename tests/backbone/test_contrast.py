import plain_loops
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from recbole_darec.backbone import contrast
from recbole_darec.backbone.contrast import info_nce, mean_log_sum_exp, node_info_nce


@pytest.fixture(params=["one block", "many blocks", "one sum of many threads"])
def blocks(request, monkeypatch):
    before = torch.get_num_threads()
    if request.param != "one block":
        torch.set_num_threads(3)
        monkeypatch.setattr(contrast, "_BLOCK_ON_CPU", 0)
        monkeypatch.setattr(contrast, "_LEAST_ANCHORS", 2)
        monkeypatch.setattr(contrast, "_TILE", 2)
    if request.param == "one sum of many threads":
        monkeypatch.setattr(contrast, "_LARGEST_SUMS", 0)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("blocks")
def test_info_nce_equals_plain_loops():
    anchors, positives = torch.randn(2, 5, 3, dtype=torch.float64)
    candidates = torch.randn(7, 3, dtype=torch.float64)
    expected = plain_loops.info_nce(anchors.tolist(), positives.tolist(), candidates.tolist(), 0.2)
    assert info_nce(anchors, positives, candidates, 0.2).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("blocks")
def test_repeated_nodes_count_as_often_as_they_stand():
    first, second = torch.randn(2, 6, 3, dtype=torch.float64)
    nodes = torch.tensor([4, 1, 4, 4, 0])
    expected = plain_loops.info_nce(
        first[nodes].tolist(), second[nodes].tolist(), second.tolist(), temperature=0.5
    )
    assert node_info_nce(first, second, nodes, 0.5).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("blocks")
def test_gradients_are_exact():
    anchors, candidates = (
        torch.randn(n, 3, dtype=torch.float64, requires_grad=True) for n in (5, 7)
    )
    weights = torch.rand(5, dtype=torch.float64)
    assert gradcheck(lambda a, c: mean_log_sum_exp(a, c, weights), (anchors, candidates))
    assert gradcheck(lambda a, c: 3 * info_nce(a, a + 1, c, 0.5), (anchors, candidates))
    assert gradcheck(lambda a: mean_log_sum_exp(a, a), anchors)


@given(st.integers(1, 5000), st.integers(1, 10**6))
def test_blocks_hold_all_anchors_none_is_idle_and_memory_is_bounded(n_anchors, n_candidates):
    candidates = torch.empty(1, 1).expand(n_candidates, 8)
    blocks, threads, rows = contrast._blocks(torch.empty(n_anchors, 8), candidates)
    assert (blocks - 1) * threads * rows < n_anchors <= blocks * threads * rows
    assert rows * n_candidates <= max(contrast._BLOCK_ON_CPU, 64 * n_candidates)


@pytest.mark.usefixtures("blocks")
def test_a_last_block_that_is_filled_up():
    anchors, candidates = torch.randn(51, 3).double(), torch.randn(7, 3).double()
    expected = (anchors @ candidates.T).logsumexp(1).mean()
    assert mean_log_sum_exp(anchors, candidates).item() == pytest.approx(expected.item())


@pytest.mark.usefixtures("blocks")
def test_large_products_do_not_overflow():
    anchors = torch.full((2, 1), 30.0, requires_grad=True)
    value = mean_log_sum_exp(anchors, torch.tensor([[30.0], [29.0]]))
    assert value.item() == pytest.approx(900.0)
    value.backward()
    assert anchors.grad.isfinite().all()


def test_bad_input_is_refused():
    x, y = torch.randn(4, 3), torch.randn(5, 2)
    with pytest.raises(ValueError, match=r"anchors \(4, 3\) and candidates \(5, 2\)"):
        mean_log_sum_exp(x, y)
    with pytest.raises(ValueError, match=r"4 anchors but weights of shape \(5,\)"):
        mean_log_sum_exp(x, x, torch.ones(5))
    with pytest.raises(ValueError, match="temperature is 0; expected a number > 0"):
        info_nce(x, x, x, 0)
    with pytest.raises(ValueError, match=r"anchors \(4, 3\) and positives \(3, 3\) differ"):
        info_nce(x, x[:3], x, 0.2)
