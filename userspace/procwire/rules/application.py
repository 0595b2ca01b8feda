"""Protocols across a connection: what decode/spoken.py observes over its first payloads."""

from procwire.rule import observed

observed(
    id="app.protocol_mismatch",
    sid=9101601,
    title="Connection carries another protocol than its port or its peer says",
    reference="RFC 6335 section 6; RFC 3207 section 4",
    severity=2,
    suricata=(
        "app.applayer_mismatch_protocol_both_directions",
        "app.applayer_unexpected_protocol",
        "app.applayer_no_tls_after_starttls",
    ),
    rationale="Implants and tunnels take ports that filters let out, scanners try one protocol on "
    "the port of another, and a server that answers in another language was not what the client "
    "meant to reach.",
)
