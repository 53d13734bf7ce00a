"""From the source to passages and test documents."""
