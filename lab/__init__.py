"""The failure lab: small deployments, each with exactly one fault, and what the doctor names for them."""
