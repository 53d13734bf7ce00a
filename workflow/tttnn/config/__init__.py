"""The whole configuration: its sections put together, and what they have to agree on.

No stage imports anything here; see `tttnn.sections`.
"""
