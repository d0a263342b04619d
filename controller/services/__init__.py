"""The services under test, as a holder reaches them by HTTPS."""
