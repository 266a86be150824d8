"""The information gap of DaRec's Theorem 1 on the user's own data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbole_darec.analysis.information import Information


@dataclass(frozen=True)
class InformationGap:
    """The gap that Theorem 1 speaks of, estimated on these data.

    Theorem 1 says that making both sides equal costs at least ``|I(C; Y) - I(L; Y)|``. Here both
    are lower bounds by a linear probe, and a difference of lower bounds bounds nothing: it is an
    estimate of the gap.

    Attributes:
        gap: the estimate of ``|I(C; Y) - I(L; Y)|`` in nats.
        gap_error: its standard error.
        gain: what text adds to interactions, ``I(C, L; Y) - I(C; Y)``, estimated in the same way.
        gain_error: its standard error.
    """

    gap: float
    gap_error: float
    gain: float
    gain_error: float

    @classmethod
    def of(cls, measured: Information, first: str, second: str, both: str) -> InformationGap:
        """From measures of these three sources; a bound below 0 says no more than 0 does."""
        nats = measured.table.set_index("source")["nats"].clip(lower=0.0)
        draws = {source: np.maximum(values, 0.0) for source, values in measured.draws.items()}
        return cls(
            abs(nats[first] - nats[second]),
            float((draws[first] - draws[second]).std()),
            nats[both] - nats[first],
            float((draws[both] - draws[first]).std()),
        )

    @property
    def verdict(self) -> str:
        """Whether alignment is likely to help, in words (bounds: two standard errors)."""
        gap = (
            f"The information gap is estimated at {self.gap:.3f} ± {self.gap_error:.3f} nats, from "
            "lower bounds by a linear probe"
        )
        gain = f"{self.gain:.3f} ± {self.gain_error:.3f} nats"
        if self.gap > 2 * self.gap_error:
            gap += "; making both sides equal would lose at least the true gap (Theorem 1)"
        else:
            gap += ", not distinguishable from 0"
        if self.gain > 2 * self.gain_error:
            return f"{gap}. Text adds {gain} to what interactions say: alignment can help."
        return (
            f"{gap}. Text adds nothing measurable to what interactions say ({gain}): "
            "alignment can at best regularise."
        )
