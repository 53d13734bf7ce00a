"""The configuration, a module for each part of it.

A stage imports only the part it reads, because the fingerprint of a stage's code covers what it
imports: a new field for figures must not make anyone embed the Pile again.
"""
