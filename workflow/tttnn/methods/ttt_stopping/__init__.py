"""Test-time training that stops by the first half of a document."""
