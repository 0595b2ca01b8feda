"""The tables of the context, as the steps that lead to them. A step that was released never
changes; what is new is a step of its own."""

from __future__ import annotations

MIGRATIONS = (
    # Times are ns since the epoch. Columns that are NULL match everything.
    """
    CREATE TABLE allowed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        exe TEXT,
        sha256 TEXT,
        user TEXT,
        source TEXT,
        destination TEXT,
        port INTEGER,
        analytic TEXT,
        owner TEXT NOT NULL,
        reason TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        suppressed INTEGER NOT NULL DEFAULT 0,
        last_suppressed INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE zones (name TEXT PRIMARY KEY, kind TEXT NOT NULL) STRICT;
    CREATE TABLE networks (network TEXT PRIMARY KEY, zone TEXT NOT NULL) STRICT;
    CREATE TABLE assets (
        name TEXT PRIMARY KEY,
        address TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        criticality TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE habits (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        role TEXT NOT NULL,
        zone TEXT NOT NULL,
        program TEXT NOT NULL,
        protocol INTEGER NOT NULL,
        port INTEGER NOT NULL,
        service TEXT NOT NULL,
        peer TEXT NOT NULL,
        state TEXT NOT NULL,
        count INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        decided_by TEXT,
        decided INTEGER,
        UNIQUE (kind, role, zone, program, protocol, port, service, peer)
    ) STRICT;
    CREATE TABLE observed (
        role TEXT NOT NULL,
        zone TEXT NOT NULL,
        time INTEGER NOT NULL,
        PRIMARY KEY (role, zone)
    ) STRICT
    """,
    """
    CREATE TABLE history (
        episode TEXT NOT NULL,
        rule TEXT NOT NULL,
        setting TEXT NOT NULL,
        figure REAL NOT NULL,
        threshold REAL NOT NULL,
        severity INTEGER NOT NULL,
        suppressed INTEGER NOT NULL,
        time INTEGER NOT NULL,
        PRIMARY KEY (episode, setting)
    ) STRICT;
    CREATE INDEX history_by_time ON history (time)
    """,
    # observed: ns for which a watch ran with the threshold; current: 1 for the last of a setting.
    """
    CREATE TABLE in_force (
        setting TEXT NOT NULL,
        threshold REAL NOT NULL,
        observed INTEGER NOT NULL,
        current INTEGER NOT NULL,
        PRIMARY KEY (setting, threshold)
    ) STRICT
    """,
    # SQLite cannot add columns to what is unique.
    """
    ALTER TABLE habits RENAME TO habits_before;
    CREATE TABLE habits (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        role TEXT NOT NULL,
        zone TEXT NOT NULL,
        program TEXT NOT NULL,
        protocol INTEGER NOT NULL,
        port INTEGER NOT NULL,
        service TEXT NOT NULL,
        peer TEXT NOT NULL,
        user TEXT NOT NULL DEFAULT '',
        targets INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL,
        count INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        decided_by TEXT,
        decided INTEGER,
        UNIQUE (kind, role, zone, program, protocol, port, service, peer, user, targets)
    ) STRICT;
    INSERT INTO habits (id, kind, role, zone, program, protocol, port, service, peer, state, count,
            first, last, decided_by, decided)
        SELECT id, kind, role, zone, program, protocol, port, service, peer, state, count,
            first, last, decided_by, decided FROM habits_before;
    DROP TABLE habits_before
    """,
)
