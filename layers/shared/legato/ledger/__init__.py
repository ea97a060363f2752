"""What is remembered: notes, written only over the version that was read, and lists by age."""
