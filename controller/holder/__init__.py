"""The holder that scripts are written against, and how its steps are timed."""
