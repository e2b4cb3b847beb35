"""The HTTP API: handlers parse, call one method, and shape the answer."""
