"""ACA-Py processes and the holder wallets in them."""
