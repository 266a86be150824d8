"""What an analysis of a run has found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recbole_darec.analysis.preference import PreferenceCenters
from recbole_darec.analysis.representations import Representations
from recbole_darec.load import Run


@dataclass(frozen=True)
class Analysis:
    """Measures of one run.

    Attributes:
        run: the run.
        before: representations before training.
        after: representations of the trained model.
        tables: every measure, by name of the table.
        findings: what the tables say, in sentences.
        centers: the preference centres, None without shared parts.
        titles: title of each item by internal id.
    """

    run: Run
    before: Representations
    after: Representations
    tables: dict[str, pd.DataFrame]
    findings: tuple[str, ...]
    centers: PreferenceCenters | None
    titles: np.ndarray = field(repr=False)

    @property
    def name(self) -> str:
        """Model, backbone and dataset."""
        metrics = self.run.metrics
        backbone = f" on {metrics['backbone']}" if metrics.get("backbone") else ""
        return f"{metrics['model']}{backbone}, {metrics['dataset']}"

    def __repr__(self) -> str:
        findings = "\n".join(f"  - {finding}" for finding in self.findings)
        return f"<Analysis of {self.name}; tables: {', '.join(self.tables)}>\n{findings}"
