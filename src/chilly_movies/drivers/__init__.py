"""Drivers: each knows one kind of source and implements `ports.Driver`."""
