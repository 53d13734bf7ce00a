"""The paper's in-context baseline (section 5)."""
