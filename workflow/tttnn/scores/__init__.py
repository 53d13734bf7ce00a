"""From evaluation rows to tables."""
