"""Tollgate measured beside its peers: `make bench`."""
