"""A module for each way to make candidates of other candidates: its settings, and `pooled`."""
