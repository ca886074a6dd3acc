"""One model call, told in order: admit, call, relay, finish."""
