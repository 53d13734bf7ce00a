"""What an operator asks: plans, progress, recovery."""
