"""Watching the fleet from the control node: what is known of each load host, and the table of all of them."""
