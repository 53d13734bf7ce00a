"""Test-time training on nearest neighbours (paper section 4)."""
