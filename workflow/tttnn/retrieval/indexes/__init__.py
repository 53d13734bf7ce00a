"""A folder for each type of index: `settings`, and `engine`, which needs faiss."""
