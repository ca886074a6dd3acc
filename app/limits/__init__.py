"""Meters and admission: what is in flight, counted in Redis by one atomic script for each act."""
