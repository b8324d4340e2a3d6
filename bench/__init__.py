"""``make bench``: Hokusai side by side with its peers, on this machine, in the same run."""
