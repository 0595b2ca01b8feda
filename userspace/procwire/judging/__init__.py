"""From decoded packets to findings: of each by itself, of checksums, and of several."""
