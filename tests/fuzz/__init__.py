"""A million mutated records over all readers of all topics: no exception escapes, and each record has one fate."""
