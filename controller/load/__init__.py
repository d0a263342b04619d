"""Who runs when: the clock, pacing, and the load models."""
