"""The watch folders: what is dropped into them becomes jobs. An entry, like the command line."""
