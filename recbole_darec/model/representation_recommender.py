"""What RecBole asks of a model whose scores come from representations of users and items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.keys import ConfigError, Key


class RepresentationRecommender(GeneralRecommender, ABC):  # type: ignore[misc]
    """Scores from representations that are computed once an evaluation, losses by name.

    Attributes:
        keys: the configuration keys that the model reads, beside ``embedding_size``.
        search_space: where to search them, in the syntax of RecBole's ``hyper.test``.
        reads_user_texts: whether texts or vectors of users are of any use to the model.
        loss_names: names of the terms that ``calculate_loss`` returned last.
    """

    keys: ClassVar[Mapping[str, Key]] = {}
    search_space: ClassVar[Mapping[str, str]] = {}
    reads_user_texts: ClassVar[bool] = True

    input_type = InputType.PAIRWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.loss_names: tuple[str, ...] = ()
        self._evaluated: CollaborativeOutput | None = None

    @abstractmethod
    def forward(self) -> CollaborativeOutput:
        """The representations that are scored."""

    @abstractmethod
    def loss_terms(self, interaction: Any) -> dict[str, Tensor]:
        """Named, weighted, scalar terms of the objective on a pairwise batch."""

    def represent(self, vectors: np.ndarray) -> Tensor | None:
        """Items that were not in training, as ``forward`` would have them; by itself None.

        Args:
            vectors: their raw semantic vectors, ``(m, d_L)``.

        Returns:
            Their representations ``(m, d)``, or None if a text alone does not give any.
        """
        return None

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The terms of ``loss_terms``, which RecBole's trainer sums.

        Raises:
            ConfigError: if a term is no scalar.
        """
        terms = self.loss_terms(interaction)
        for name, value in terms.items():
            if value.ndim:
                raise ConfigError(
                    f"term '{name}' of the loss has shape {tuple(value.shape)}; a term must be a "
                    "scalar, such as the mean"
                )
        self.loss_names = tuple(terms)
        return tuple(terms.values())

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of every user row against every item row: ``(b, d), (n, d) -> (b, n)``."""
        return torch.matmul(users, items.T)

    def score_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of user rows against item rows one by one: ``(b, d), (b, d) -> (b,)``."""
        scores: Tensor = torch.linalg.vecdot(users, items)
        return scores

    def predict(self, interaction: Any) -> Tensor:
        """Scores of user-item pairs, ``(batch,)``."""
        output = self._representations()
        users = output.users[interaction[self.USER_ID]]
        return self.score_pairs(users, output.items[interaction[self.ITEM_ID]])

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of the batch's users for all items, ``(batch * n_items,)``."""
        output = self._representations()
        return self.score(output.users[interaction[self.USER_ID]], output.items).view(-1)

    def train(self, mode: bool = True) -> RepresentationRecommender:
        """Switch mode; representations kept from an earlier evaluation are forgotten."""
        self._evaluated = None
        super().train(mode)
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """Move or convert; representations of before are forgotten."""
        self._evaluated = None
        return super()._apply(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights; representations made with others are forgotten."""
        self._evaluated = None
        return super().load_state_dict(*args, **kwargs)

    def _representations(self) -> CollaborativeOutput:
        if self.training:
            return self.forward()
        if self._evaluated is None:
            with torch.no_grad():
                self._evaluated = self.forward()
        return self._evaluated
