"""Packages for whoever was not there: a court, the other side, an authority.

A package is a bag (RFC 8493) that holds calls whole, with the digests that prove them, and a page
that plays them. It needs neither Legato nor a network.
"""
