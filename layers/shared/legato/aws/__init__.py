"""The adapters to AWS. boto3 lives only here."""
