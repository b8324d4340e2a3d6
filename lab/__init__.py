"""The failure lab: small deployments, each with exactly one fault, and what the doctor says of them."""
