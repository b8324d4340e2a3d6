"""The ``mlflow-artifacts`` API over ASGI: requests, ranges, conditions, digests and responses.

Start at ``app.py``, which sends each request to ``upload.py``, ``download.py`` or a listing.
"""
