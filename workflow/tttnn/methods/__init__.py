"""Adapting a model to a document and measuring it; a folder for each kind of method."""
