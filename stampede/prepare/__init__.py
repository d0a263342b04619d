"""Before a run: checks on the control node, the rendered script, the packages of the load hosts."""
