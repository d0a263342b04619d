"""Load hosts in a cloud: what is right of a fleet's settings, what of it there is, what a provider's errors mean."""
