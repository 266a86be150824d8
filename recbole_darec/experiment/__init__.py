"""Comparisons, ablations and searches: many runs of ``quick_start`` and what they say."""
