"""Apple's push service: provider tokens, and pushes to devices."""
