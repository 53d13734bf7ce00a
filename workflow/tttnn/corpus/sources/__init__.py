"""A module for each kind of source: its settings, and `fetch`."""
