"""Matrix factorisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from recbole.model.init import xavier_normal_initialization
from torch import Tensor, nn

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.backbone.pairwise_backbone import PairwiseBackbone


class MF(PairwiseBackbone):
    """Matrix factorisation trained by BPR: the embeddings themselves are the representations.

    Source: Rendle et al., *BPR: Bayesian Personalized Ranking from Implicit Feedback*, UAI 2009;
    RecBole's ``BPR``.
    """

    search_space: ClassVar[Mapping[str, str]] = {
        "learning_rate": "loguniform -8,-4",
        "reg_weight": "choice [0,1e-5,1e-3,0.1,1]",
    }
    initialise: Callable[[nn.Module], None] = staticmethod(xavier_normal_initialization)

    def forward(self, ego: Tensor | None = None) -> CollaborativeOutput:
        """See ``Backbone.forward``."""
        return self.output(self.ego() if ego is None else ego)
