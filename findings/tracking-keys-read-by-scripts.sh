#!/usr/bin/env bash
# Client-side caching and keys that a script reads.
# Guess: either the keys that a script declares are tracked, or those that it reads; and one rule holds for all servers.
# Seen: Redis 8.2.3 and Valkey 9.1.2 track what the script reads, declared or not. Redis 6.2.14 tracks a key only if it is both declared and read:
# the same script, cached by the same client, is stale without end on the older server. A key that is declared and not read is tracked by none.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash"
probe <<'PY'
from client import *
for name, port in servers():
    writer = Client(port)

    def told(script, *keys):
        writer("SET", "k", "1")
        reader = Client(port)
        reader("CLIENT", "TRACKING", "ON")
        answer = reader("EVAL", script, str(len(keys)), *keys)
        assert not isinstance(answer, hiredis.ReplyError), answer
        writer("SET", "k", "2")
        return bool(reader.pushes())

    expect(f"{name}: declared and read", told("return redis.call('GET', KEYS[1])", "k"), True)
    expect(f"{name}: read, not declared", told("return redis.call('GET', 'k')"), name != "redis-6.2")
    expect(f"{name}: declared, not read", told("return 1", "k"), False)
finish()
PY
