"""Where a shard's file comes from: a module for each kind of source.

The common parts are in `tttnn.sources.layout`; a package's own file is in no fingerprint.
"""
