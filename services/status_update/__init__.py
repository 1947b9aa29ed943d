"""status-update: the driver's side of orders: statuses, bills of lading, drops, pictures."""
