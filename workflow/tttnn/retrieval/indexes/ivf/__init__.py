"""Inverted lists: the vectors near some centroids are compared."""
