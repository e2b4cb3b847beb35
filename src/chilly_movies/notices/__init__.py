"""What tells other programs of our jobs: webhooks."""
