"""Fuzzing of what strangers can send us: `make fuzz MINUTES=30`."""
