"""Side by side with other programs on this machine. What counts are the ratios."""
