"""A page of what runs found: claims held against tables, by a stated rule."""
