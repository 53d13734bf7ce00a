"""Experts that were trained before the test, merged for each document (Bertolissi et al. 2025)."""
