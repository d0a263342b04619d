"""The protocols that a wallet speaks through its ACA-Py agent, one noun a file."""
