"""What the charts of a report draw."""
