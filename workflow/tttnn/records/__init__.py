"""Recorded runs: small folders of tables that others redraw, and compare their own runs with."""
