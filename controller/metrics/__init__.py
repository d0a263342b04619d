"""Step records, the journal they go to first, and what the generator measures of itself."""
