"""The history of the schema of the library."""
