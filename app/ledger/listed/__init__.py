"""The price list: what providers ask for their models, as `make prices` takes it from genai-prices."""
