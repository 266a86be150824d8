"""MF against RecBole's BPR on the same weights."""

import plain_loops
import pytest
import torch
from recbole.model.general_recommender.bpr import BPR

from recbole_darec.backbone.mf import MF


def test_equals_recbole(recbole_setting, real_graph, real_batch, defaults):
    config, dataset = recbole_setting("BPR")
    torch.manual_seed(7)
    theirs = BPR(config, dataset)
    torch.manual_seed(7)
    ours = MF(defaults("MF"), real_graph)
    tables = torch.cat([theirs.user_embedding.weight, theirs.item_embedding.weight])
    assert torch.equal(ours.embedding, tables)
    terms = ours.loss(real_batch, ours())
    assert terms["reg"] == 0
    our_loss, their_loss = sum(terms.values()), theirs.calculate_loss(real_batch)
    torch.testing.assert_close(our_loss, their_loss, rtol=0, atol=1e-6)
    our_loss.backward()
    their_loss.backward()
    grads = torch.cat([theirs.user_embedding.weight.grad, theirs.item_embedding.weight.grad])
    torch.testing.assert_close(ours.embedding.grad, grads, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("reg", ["batch", "all"])
def test_its_l2_equals_plain_loops(tiny_graph, tiny_batch, defaults, reg):
    model = MF(defaults("MF", reg=reg, reg_weight=0.7), tiny_graph)
    table = model.embedding.detach().numpy()
    expected = (
        plain_loops.l2_of_all(model)
        if reg == "all"
        else plain_loops.l2_of_batch(table, tiny_batch, tiny_graph.n_users, squared=False)
    )
    found = model.loss(tiny_batch, model())["reg"].item()
    assert found == pytest.approx(0.7 * expected, rel=1e-5)


def test_scores_are_products_of_the_embeddings(real_graph, defaults):
    model = MF(defaults("MF"), real_graph)
    output = model()
    scores = model.score(output.users[:3], output.items)
    expected = model.embedding[:3] @ model.embedding[real_graph.n_users :].T
    assert torch.equal(scores, expected)
