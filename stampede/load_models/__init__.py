"""Load models: who runs when, and which load host takes which holders. Nothing here does any I/O."""
