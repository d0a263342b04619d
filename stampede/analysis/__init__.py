"""From the records of all hosts to the figures and the verdict of a run."""
