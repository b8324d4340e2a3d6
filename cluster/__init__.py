"""The large topology on one machine: PostgreSQL, S3, Redis, an auth service, three registries and HAProxy.

``python -m cluster`` starts it and prints its addresses; ``python -m cluster.prove`` breaks it and reports which of its
promises held. Its parts are real servers, those that the tests use.
"""
