"""Web push: browsers with subscriptions, and their push services' manners."""
