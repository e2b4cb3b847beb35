"""Films and series that the user has: what they are, where they lie, how far they were watched."""
