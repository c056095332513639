"""Tests of the brokers that Tocsin starts itself."""
