"""Why nobody can alter the archive: digests, time stamps, legal holds, the access log."""
