"""A driver that pretends: for tests, and for front ends without a network."""
