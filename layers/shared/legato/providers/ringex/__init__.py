"""RingCentral's telephony. Its guide: https://developers.ringcentral.com/guide."""
