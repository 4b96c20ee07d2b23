"""The sandbox's own API: inbox, statistics, rules, and the page of phones."""
