"""Long documents, window by window: each finds neighbours of its own, or is learnt once scored."""
