"""Restore calls out of cold storage: say what it costs, ask S3, and know when they can be read.

What is under way stands in the ledger, in a note for each call. It is written before S3 is asked,
so that S3's own event, which may come within a minute, always finds it. S3 is the truth: asking
again does no harm, and whoever looks at S3 corrects the note.
"""
