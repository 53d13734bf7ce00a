"""Test-time training on nearest neighbours: the stages of the workflow as plain functions.

Nothing in this package imports Snakemake: a rule, a notebook and a test call the same functions.
"""

__version__ = "0.1.0"
