"""Where the library is kept: a database of its own, and a store that forgets."""
