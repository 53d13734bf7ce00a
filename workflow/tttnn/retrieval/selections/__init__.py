"""A module for each way to choose training texts: its settings, and `choose`."""
