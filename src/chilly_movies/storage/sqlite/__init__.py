"""What is true of SQLite alone: the file, its thread, its errors, upgrades."""
