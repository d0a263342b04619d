"""The contracts that control node and load hosts share. Nothing here does any I/O."""
