"""The page of a run in progress: its figures over time, and what can be done with the run."""
