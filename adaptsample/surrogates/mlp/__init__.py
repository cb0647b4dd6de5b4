"""Networks, also with creases."""
