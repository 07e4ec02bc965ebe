"""What a network learns, and by which gradient step."""
