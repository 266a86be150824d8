"""Any of RecBole's general recommenders with user and item embeddings, as a backbone."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from recbole.data.interaction import Interaction
from recbole.utils import InputType, get_model
from torch import Tensor, nn
from torch.func import functional_call

from recbole_darec import compat
from recbole_darec.backbone.base import Backbone
from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.backbone.recbole_models import READING_TABLES
from recbole_darec.gather import add_to_rows, rows_of, split_rows
from recbole_darec.graph import BipartiteGraph
from recbole_darec.keys import ConfigError

PREFIX = "recbole/"
_PLAIN = (("user_embedding",), ("item_embedding",))
# Models whose scores depend on the rows of these tables alone.
_TABLES = {
    "BPR": _PLAIN,
    "LINE": _PLAIN,
    "ENMF": _PLAIN,
    "ConvNCF": _PLAIN,
    "NeuMF": (
        ("user_mf_embedding", "user_mlp_embedding"),
        ("item_mf_embedding", "item_mlp_embedding"),
    ),
    "SimpleX": (("user_emb",), ("item_emb",)),
}
_PAIRS_AT_A_TIME = 2**16


class RecBoleBackbone(Backbone):
    """RecBole's own model: its ``calculate_loss`` is the objective, its embeddings are aligned.

    Where the model propagates over a graph, the representations are what its ``forward`` returns,
    and ``calculate_loss`` is given that very result in the place of a second forward pass. Where
    it has embedding tables alone, these are the representations, and ``calculate_loss`` looks up
    in them. SimpleX is represented by its aggregated users and its items, both normalised; a step
    aggregates the histories of the users that it reads, each once, and ``calculate_loss`` takes
    them from there. ENMF takes the users of a batch once each; in RecBole, which gives it users and
    no interactions, an epoch has each user once, here once in each batch that holds it.

    Args:
        config: RecBole's configuration with the model's own keys and ``backbone: recbole/NAME``.
        graph: the training graph.
        dataset: RecBole's training dataset.

    Raises:
        ConfigError: if the model cannot serve as a backbone, or not with these keys; the message
            says why.
    """

    search_space: ClassVar[Mapping[str, str]] = {"learning_rate": "loguniform -8,-4"}

    def __init__(self, config: Mapping[str, Any], graph: BipartiteGraph, dataset: Any) -> None:
        super().__init__(config, graph)
        self.name = str(config["backbone"]).removeprefix(PREFIX)
        with compat.recboles_refusals(self.name, config):
            model = get_model(self.name)(config, dataset)
        self.fusible = self.name not in READING_TABLES
        self.reads_batch = self.rows_cost = self.name == "SimpleX"
        self._sampling: Mapping[str, Any] = config["train_neg_sample_args"]
        self._tables = _embedding_tables(self.name, model)
        self._arguments = () if self.name in _TABLES else _forward_arguments(self.name, model)
        if self.name == "LINE":
            compat.require_strangers(f"backbone '{PREFIX}LINE'", model, dataset)
        if self.name == "NCL":
            _require_clustering(config, graph)
            compat.keep_clusters(model)
            self._m_step, self._warm_up = config["m_step"], config["warm_up_step"]
        self.model: Any = model.to(config["device"])
        self._warming_up = False
        refusals = compat.recboles_refusals(self.name, config)
        with torch.no_grad(), torch.random.fork_rng(devices=[]), refusals:
            self.dim = self().users.shape[1]
            self.by_product = self.name not in _TABLES or self._scores_are_products()

    @classmethod
    def from_dataset(cls, config: Mapping[str, Any], dataset: Any) -> RecBoleBackbone:
        """See ``Backbone.from_dataset``."""
        return cls(config, BipartiteGraph.from_dataset(dataset), dataset)

    def ego(self) -> Tensor:
        """The model's embedding tables, users above items; several tables side by side."""
        sides = [[self.model.get_submodule(n).weight for n in names] for names in self._tables]
        return torch.cat([torch.cat(tables, dim=1) for tables in sides])

    def forward(self, ego: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``."""
        users, items = self.graph.split(self.ego() if ego is None else ego)
        if self.name == "SimpleX":
            return self._simplex(users, items, torch.arange(self.n_users, device=users.device))
        if self.name in _TABLES:
            return CollaborativeOutput(users, items)
        with torch.autocast(users.device.type, enabled=False):
            result = functional_call(self.model, self._named(users, items), self._arguments)
        self._check_result(result)
        return CollaborativeOutput(result[0], result[1], extras={"rest": result[2:]})

    def forward_at(self, rows: Tensor, ego: Tensor) -> CollaborativeOutput:
        """See ``Backbone.forward_at``: of SimpleX, the histories of these users alone."""
        return self._simplex(*self.graph.split(ego), split_rows(rows, self.n_users)[0])

    def loss(self, interaction: Any, output: CollaborativeOutput) -> dict[str, Tensor]:
        """The model's own ``calculate_loss``, fed with ``output``; see ``Backbone.loss``."""
        batch = self._labelled(interaction)
        if self.name in _TABLES:
            tables = output.extras.get("tables", (output.users, output.items))
            with self._aggregated(output, batch):
                value = self._call("calculate_loss", tables, batch)
        else:
            result = output.users, output.items, *output.extras["rest"]
            # PyTorch's sparse products, of views too, have no backward pass under autocast.
            with self._replayed(result), torch.autocast(output.users.device.type, enabled=False):
                value = self.model.calculate_loss(batch)
        if isinstance(value, tuple):
            terms = {f"base_{number}": part.sum() for number, part in enumerate(value, start=1)}
            if self._warming_up:
                terms[f"base_{len(value)}"] = torch.zeros_like(terms["base_1"])
            return terms
        return {"base": value.sum()}

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores as the model gives them; see ``Backbone.score``."""
        if self.by_product:
            return super().score(users, items)
        rows = max(1, _PAIRS_AT_A_TIME // len(items))
        return torch.cat([self._score_all(part, items) for part in torch.split(users, rows)])

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores as the model gives them; see ``Backbone.score_pairs``."""
        if self.by_product:
            return super().score_pairs(users, items)
        rows = torch.arange(len(users), device=users.device)
        return self._predicted(users, items, rows, rows)

    def begin_epoch(self, epoch: int) -> None:
        """What RecBole's trainer of NCL does; see ``Backbone.begin_epoch``.

        It clusters anew every ``m_step`` epochs, and the contrast with the clusters counts after
        ``warm_up_step`` epochs.
        """
        if self.name == "NCL":
            if epoch % self._m_step == 0:
                self.model.e_step()
            self._warming_up = epoch < self._warm_up

    def _named(self, users: Tensor, items: Tensor) -> dict[str, Tensor]:
        named = {}
        for names, side in zip(self._tables, (users, items), strict=True):
            widths = [self.model.get_submodule(name).embedding_dim for name in names]
            for name, part in zip(names, torch.split(side, widths, dim=1), strict=True):
                named[f"{name}.weight"] = part
        return named

    def _call(self, method: str, tables: tuple[Tensor, Tensor], *arguments: Any) -> Any:
        """A method of the model with other embedding tables."""
        named = {f"model.{name}": value for name, value in self._named(*tables).items()}
        return functional_call(_Method(self.model, method), named, arguments)

    @contextmanager
    def _replayed(self, result: tuple[Any, ...]) -> Iterator[None]:
        original = self.model.forward

        def forward(*arguments: Any) -> Any:
            same = all(a is b for a, b in zip(arguments, self._arguments, strict=True))
            return result if same else original(*arguments)

        self.model.forward = forward
        try:
            yield
        finally:
            del self.model.forward

    @contextmanager
    def _aggregated(self, output: CollaborativeOutput, batch: Any) -> Iterator[None]:
        """SimpleX's loss finds the users of the batch aggregated; the others have none to find."""
        if "aggregated" not in output.extras:
            yield
            return

        def found(users: Tensor, *_: Tensor) -> Tensor:
            # SimpleX cuts a batch that holds each user once for each of several negatives.
            return rows_of(output.extras["aggregated"], batch[self._user_field][: len(users)])

        self.model.get_UI_aggregation = found
        try:
            yield
        finally:
            del self.model.get_UI_aggregation

    def _labelled(self, interaction: Any) -> Any:
        """The batch as the model takes it: labelled pairs if it is pointwise with labels."""
        if self.name == "ENMF":
            return Interaction({self._user_field: torch.unique(interaction[self._user_field])})
        if self.model.input_type != InputType.POINTWISE or not hasattr(self.model, "LABEL"):
            return interaction
        batch = self.triples(interaction)
        # RecBole repeats the positive pairs as a whole, once for each of several negatives.
        pairs = len(batch.users) // self._sampling["sample_num"]
        labels = torch.zeros(pairs + len(batch.users), device=batch.users.device)
        labels[:pairs] = 1
        return Interaction(
            {
                self._user_field: torch.cat([batch.users[:pairs], batch.users]),
                self._item_field: torch.cat([batch.positives[:pairs], batch.negatives]),
                self.model.LABEL: labels,
            }
        )

    def _score_all(self, users: Tensor, items: Tensor) -> Tensor:
        rows, columns = torch.cartesian_prod(
            torch.arange(len(users), device=users.device),
            torch.arange(len(items), device=items.device),
        ).T
        return self._predicted(users, items, rows, columns).view(len(users), len(items))

    def _predicted(self, users: Tensor, items: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The model's ``predict`` of pairs of rows of two tables, ``(n,)``."""
        pairs = Interaction({self._user_field: rows, self._item_field: columns})
        scores: Tensor = self._call("predict", (users, items), pairs)
        return scores.view(-1)

    def _scores_are_products(self) -> bool:
        users, items = (side[:8] for side in self.graph.split(self.ego()))
        return self.name == "SimpleX" or torch.allclose(
            self._score_all(users, items), users @ items.T, atol=1e-7
        )

    def _simplex(self, users: Tensor, items: Tensor, ids: Tensor) -> CollaborativeOutput:
        histories, lengths = self.model.history_item_id[ids], self.model.history_item_len[ids]
        inputs = rows_of(users, ids), F.embedding(histories, items, padding_idx=0), lengths
        made = self._call("get_UI_aggregation", (users, items), *inputs)
        aggregated = add_to_rows(torch.zeros_like(users), ids, made)
        extras = {"tables": (users, items), "aggregated": aggregated}
        return CollaborativeOutput(F.normalize(aggregated), F.normalize(items), extras=extras)

    def _check_result(self, result: Any) -> None:
        expected = (self.n_users, self.n_items)
        found = tuple(len(part) for part in result[:2]) if isinstance(result, tuple) else result
        if found != expected:
            raise ConfigError(
                f"backbone '{PREFIX}{self.name}' cannot serve: its forward pass does not return "
                "the representations of all users and items"
            )


class _Method(nn.Module):
    """Makes a method of a model callable by ``functional_call``."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *arguments: Any) -> Any:
        return getattr(self.model, self.method)(*arguments)


def _embedding_tables(name: str, model: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tables = _TABLES.get(name, _PLAIN)
    if not all(isinstance(getattr(model, n, None), nn.Embedding) for side in tables for n in side):
        raise ConfigError(
            f"backbone '{PREFIX}{name}' cannot serve: it has no tables of user and of item "
            "embeddings that could be aligned"
        )
    return tables


def _forward_arguments(name: str, model: Any) -> tuple[Any, ...]:
    required = [
        parameter.name
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    if not required:
        return ()
    if required == ["graph"]:
        return (model.train_graph,)
    raise ConfigError(
        f"backbone '{PREFIX}{name}' cannot serve: its scores depend on more than one "
        f"representation of each user and item (its forward pass takes {', '.join(required)})"
    )


def _require_clustering(config: Mapping[str, Any], graph: BipartiteGraph) -> None:
    if importlib.util.find_spec("faiss") is None:
        raise ConfigError(
            f"backbone '{PREFIX}NCL' needs the package 'faiss': pip install faiss-cpu"
        )
    compat.require_points(f"backbone '{PREFIX}NCL'", config, graph.n_users, graph.n_items)
