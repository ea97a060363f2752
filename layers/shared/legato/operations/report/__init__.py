"""What is written for people and scripts about the archive, below `reports/` in the bucket."""
