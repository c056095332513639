"""Evaluations on data that others have published, by their protocols, so that figures can stand beside theirs."""
