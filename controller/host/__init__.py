"""A load host's part in a run, from arming to its end."""
