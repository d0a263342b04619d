"""A run on one host, with real wallets or with simulated ones."""
