"""Looks into film and subtitle files, in child processes: such files come from strangers."""
