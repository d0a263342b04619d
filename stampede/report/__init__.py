"""The report of a run: page, terminal, JUnit, CSV."""
