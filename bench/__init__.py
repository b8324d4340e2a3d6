"""``make bench``: Hokusai and other servers, measured in turns on this machine, in the same run."""
