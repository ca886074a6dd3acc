"""Real servers and processes for tests: each on a free port, each gone when its test is over."""
