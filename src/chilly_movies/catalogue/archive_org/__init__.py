"""Films from the Internet Archive (archive.org): public, and without a key."""
