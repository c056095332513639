"""Kafka's record batches (magic 2) as columns, read and framed in compiled code. Pure: no client, clock or log.

A batch holds its records as one run of bytes (KIP-98): each is its length, one byte of attributes, what its timestamp
and offset differ by from the batch's, key, value and headers. Numbers are zigzag varints of at most ten bytes; a length
of -1 says that there is none.
"""
