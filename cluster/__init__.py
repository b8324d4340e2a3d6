"""The grown-up topology on one machine, for real: PostgreSQL, S3, Redis, an auth service, three registries and HAProxy.

``python -m cluster`` starts it and prints where it is; ``python -m cluster.prove`` breaks it and reports which of its
promises held. What it is made of are the tests' own servers.
"""
