"""Drivers for the contract in ``hokusai.artifacts.store``: ``posix`` (a directory) and ``object`` (a bucket).

``urls.store_at`` chooses one by the URL's scheme. ``store_errors`` has the errors that both raise.
"""
