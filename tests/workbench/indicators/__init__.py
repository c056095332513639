"""Indicators across worlds."""
