"""A backbone and an alignment for recbole-darec."""
