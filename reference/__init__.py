"""The reference services, made of real ACA-Py agents: issuer, verifier, mediator, AnonCreds object registry."""
