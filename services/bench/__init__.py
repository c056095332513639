"""Benchmarks of the payment path, beside the same work done the ordinary way."""
