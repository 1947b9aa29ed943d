"""The relay: publishes what the outbox holds, per order in the order it was stored."""
