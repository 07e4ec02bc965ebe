"""Films games: the screen, what the network sees, and what it computes."""
