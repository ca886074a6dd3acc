"""What has been spent: usage, prices, rows and balances."""
