#!/usr/bin/env bash
# Client-side caching and commands that read.
# Guess: CLIENT TRACKING follows every key that a command returned a value of.
# Seen (Redis 6.2.14 and 8.2.3, Valkey 9.1.2): the command table decides. GETEX without options, SORT without STORE, BITFIELD with GET alone and
# GEORADIUS are flagged as writes, so what they return is not tracked, and no change of it is told. SORT_RO is tracked for its own key, but not
# for the keys that its GET pattern reads.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash"
probe <<'PY'
from client import *
CASES = [
    ("GET", [("SET", "k", "1")], ("GET", "k"), ("SET", "k", "2"), True),
    ("GETEX", [("SET", "k", "1")], ("GETEX", "k"), ("SET", "k", "2"), False),
    ("SORT", [("RPUSH", "k", "3", "1")], ("SORT", "k"), ("RPUSH", "k", "2"), False),
    ("SORT_RO", [("RPUSH", "k", "3", "1")], ("SORT_RO", "k"), ("RPUSH", "k", "2"), True),
    ("SORT_RO GET", [("RPUSH", "k", "1"), ("SET", "d_1", "a")], ("SORT_RO", "k", "GET", "d_*"), ("SET", "d_1", "b"), False),
    ("BITFIELD GET", [("SET", "k", "1")], ("BITFIELD", "k", "GET", "u8", "0"), ("SET", "k", "2"), False),
    ("BITFIELD_RO GET", [("SET", "k", "1")], ("BITFIELD_RO", "k", "GET", "u8", "0"), ("SET", "k", "2"), True),
    ("GEORADIUS", [("GEOADD", "k", "1", "1", "a")], ("GEORADIUS", "k", "1", "1", "10", "km"), ("GEOADD", "k", "1", "1.001", "b"), False),
    ("GEOSEARCH", [("GEOADD", "k", "1", "1", "a")], ("GEOSEARCH", "k", "FROMLONLAT", "1", "1", "BYRADIUS", "10", "km"), ("GEOADD", "k", "1", "1.001", "b"), True),
]
for name, port in servers():
    writer = Client(port)
    for label, before, read, change, told in CASES:
        if name == "redis-6.2" and label.startswith("SORT_RO"):
            continue  # came with 7.0
        writer("FLUSHALL")
        for command in before:
            writer(*command)
        reader = Client(port)
        reader("CLIENT", "TRACKING", "ON")
        answer = reader(*read)
        assert not isinstance(answer, hiredis.ReplyError), answer
        writer(*change)
        expect(f"{name}: {label} is told of a change", bool(reader.pushes()), told)
finish()
PY
