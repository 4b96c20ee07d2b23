"""Google's push service: access tokens, and messages of FCM."""
