"""Published terms by explicit loops in float64, independent of the package."""

import math

import numpy as np


def product(matrix, x):
    out = np.zeros((len(matrix), x.shape[1]))
    for row in range(len(matrix)):
        for column in range(len(matrix)):
            out[row] += matrix[row, column] * x[column]
    return out


def adjacency(pairs, n_users, n_items, counted=None, loops=False):
    """Normalised adjacency of distinct (user, item) pairs; degrees from ``counted``."""
    counted = pairs if counted is None else counted
    n = n_users + n_items
    degrees = np.full(n, 1.0 if loops else 0.0)
    for u, i in counted:
        degrees[u] += 1
        degrees[n_users + i] += 1
    matrix = np.zeros((n, n))
    for u, i in pairs:
        j = n_users + i
        matrix[u, j] = matrix[j, u] = 1 / math.sqrt(degrees[u] * degrees[j])
    if loops:
        for row in range(n):
            matrix[row, row] = 1 / degrees[row]
    return matrix


def pairs_of(graph, kept=None):
    pairs = list(zip(*(side.tolist() for side in graph.edges()), strict=True))
    return pairs if kept is None else [p for p, k in zip(pairs, kept, strict=True) if k]


def triples(batch):
    keys = ("user_id", "item_id", "neg_item_id")
    return list(zip(*(batch[key].tolist() for key in keys), strict=True))


def bpr(final, batch, n_users, softplus):
    total = 0.0
    for u, i, j in triples(batch):
        margin = float(final[u] @ final[n_users + i] - final[u] @ final[n_users + j])
        if softplus:
            total += math.log1p(math.exp(-margin))
        else:
            total -= math.log(1e-10 + 1 / (1 + math.exp(-margin)))
    return total / len(triples(batch))


def l2_of_batch(table, batch, n_users, squared):
    columns = list(zip(*triples(batch), strict=True))
    total = 0.0
    for ids, offset in zip(columns, (0, n_users, n_users), strict=True):
        squares = sum(float(value) ** 2 for k in ids for value in table[offset + k])
        total += squares / 2 if squared else math.sqrt(squares)
    return total / len(triples(batch))


def l2_of_all(model):
    return sum(
        value**2
        for parameter in model.parameters()
        for value in parameter.detach().double().flatten().tolist()
    )


def unit(x):
    return [v / math.sqrt(sum(w * w for w in x)) for v in x]


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def info_nce(anchors, positives, candidates, temperature):
    """RLMRec's ``cal_infonce_loss`` without its 1e-8 in the norms, averaged over the anchors."""
    total, others = 0.0, [unit(c) for c in candidates]
    for anchor, positive in zip(anchors, positives, strict=True):
        a = unit(anchor)
        total += math.log(sum(math.exp(dot(a, c) / temperature) for c in others))
        total -= dot(a, unit(positive)) / temperature
    return total / len(anchors)


def mean_log_sum_exp(anchors, candidates):
    logs = [math.log(sum(math.exp(dot(a, c)) for c in candidates)) for a in anchors]
    return sum(logs) / len(logs)
