"""order-intake: creates, cancels, requests and receipts of orders."""
