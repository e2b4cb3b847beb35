"""The media folder for every driver: places, names, moves, volumes, readers of files."""
