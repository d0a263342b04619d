"""``stampede init``: a project of the user's own, which needs nothing but an installed Stampede."""
