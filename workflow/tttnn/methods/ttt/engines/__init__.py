"""Engines of test-time training: other ways to compute what the reference loop does."""
