"""One file behind an http or https link."""
