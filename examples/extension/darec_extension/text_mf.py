"""A model of text, without a backbone."""

from recbole.model.loss import BPRLoss
from torch import nn

from recbole_darec.backbone.output import CollaborativeOutput
from recbole_darec.model.representation_recommender import RepresentationRecommender


class TextMF(RepresentationRecommender):
    """Each user is its embedding, each item a linear map of its text; trained by BPR."""

    search_space = {"embedding_size": "choice [32,64,128]", "learning_rate": "loguniform -8,-4"}

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.items_side = dataset.side_embeddings(dataset.iid_field)
        self.users = nn.Embedding(self.n_users, config["embedding_size"])
        self.projection = nn.Linear(self.items_side.dim, config["embedding_size"], bias=False)
        self.bpr = BPRLoss()

    def forward(self):
        """The representations that are scored; items without text are zero."""
        return CollaborativeOutput(self.users.weight, self.projection(self.items_side.table))

    def loss_terms(self, interaction):
        """Term ``bpr``."""
        output = self.forward()
        users = output.users[interaction[self.USER_ID]]
        positives, negatives = (
            self.score_pairs(users, output.items[interaction[field]])
            for field in (self.ITEM_ID, self.NEG_ITEM_ID)
        )
        return {"bpr": self.bpr(positives, negatives)}
