"""Patches about where an agent stores its wallets. ``registry`` has them by ``stampede_wallet_storage``."""
