"""Estimators to start from: copy one, rename it, and let its checks guide you."""
