"""`make run`: web, worker, SQLite and an embedded Valkey on one machine, started, watched and stopped together."""
