"""One run from input to alerts: live, from captures and records, or again from a recording."""
