"""A run's report: one page with its numbers, figures and tables, which opens anywhere, offline."""
