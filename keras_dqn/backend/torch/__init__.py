"""The backend on PyTorch."""
