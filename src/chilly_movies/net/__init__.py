"""The way out: proxies, interfaces, and the rules on which addresses may be talked to."""
