"""What calls are found by."""
