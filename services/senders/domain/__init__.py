"""What senders decides, without touching the world."""
