"""Tools for long runs and measurements. Tests are in `tests/`; nothing here is shipped."""
