"""The paper's interpolation baseline (section 5)."""
