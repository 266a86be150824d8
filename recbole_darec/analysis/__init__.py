"""What runs have learnt, and whether differences between them mean anything."""
