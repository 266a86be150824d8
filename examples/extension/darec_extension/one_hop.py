"""A backbone of one propagation step."""

from recbole_darec.backbone.pairwise_backbone import PairwiseBackbone
from recbole_darec.keys import Key


class OneHop(PairwiseBackbone):
    """Each user and item is its embedding plus a share of its neighbours'; trained by BPR."""

    keys = {**PairwiseBackbone.keys, "hop_weight": Key(float, low=0)}
    search_space = {"hop_weight": "choice [0.1,0.5,1.0]", "learning_rate": "loguniform -8,-4"}

    def __init__(self, config, graph):
        super().__init__(config, graph)
        self._hop_weight = config["hop_weight"]

    def forward(self, ego=None):
        """See ``Backbone.forward``."""
        ego = self.ego() if ego is None else ego
        return self.output(ego + self._hop_weight * self.graph.propagate(ego))
