"""An alignment by distance."""

from torch.nn import functional as F

from recbole_darec.alignment.base import Alignment
from recbole_darec.alignment.projection import Projection
from recbole_darec.keys import Key


class Distance(Alignment):
    """Mean squared distance of the batch's items to their projected text, on the unit sphere."""

    keys = {"alignment_weight": Key(float, low=0), "distance_weight": Key(float, low=0)}
    search_space = {"alignment_weight": "choice [0.01,0.1,1.0]"}
    term_weights = {"distance": "distance_weight"}

    def __init__(self, config, dim, users_side, items_side):
        super().__init__(config, dim, users_side, items_side)
        self.projection = Projection(items_side.dim, dim, self.generator, layers=1)

    def forward(self, output, batch, active):
        """Term ``distance``; see ``Alignment.forward``."""
        items = batch.positives[self.items_side.present[batch.positives]]
        ours = F.normalize(output.items[items])
        theirs = F.normalize(self.projection(self.items_side.table[items]))
        return {"distance": (ours - theirs).square().sum() / max(len(items), 1)}
