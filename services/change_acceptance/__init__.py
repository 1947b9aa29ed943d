"""change-acceptance: changes of orders between their two companies."""
