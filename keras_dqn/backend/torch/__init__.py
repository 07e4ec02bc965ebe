"""PyTorch code."""
