"""The serving process: binds, guards its connections, stops in order."""
