"""What a run left in its results folder, read again."""
