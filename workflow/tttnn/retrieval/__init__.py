"""Embeddings, indexes, candidates and neighbours."""
