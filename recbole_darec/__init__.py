"""DaRec for RecBole: disentangled alignment of collaborative models with LLM embeddings."""

__version__ = "0.1.0"
