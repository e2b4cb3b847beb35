"""What goes over the wire: shapes, problems, ranges, lines of event streams."""
