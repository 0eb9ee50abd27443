#!/usr/bin/env bash
# Client-side caching and SWAPDB.
# Guess: a client that tracks a key is told when SWAPDB puts another value under it, as it is told of FLUSHDB and MOVE.
# Seen (Redis 6.2.14 and 8.2.3, Valkey 9.1.2): no invalidation is sent. A client-side cache serves the value of the database that was swapped
# away, without end. redis-py 7.4.1 does so with its own client-side cache.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash" redis==7.4.1
probe <<'PY'
from client import *
for name, port in servers():
    writer, reader = Client(port), Client(port)
    writer("SET", "k", "old")
    writer("SELECT", "1")
    writer("SET", "k", "new")
    writer("SELECT", "0")
    reader("CLIENT", "TRACKING", "ON")
    reader("GET", "k")
    writer("SWAPDB", "0", "1")
    expect(f"{name}: the value now", writer("GET", "k"), "new")
    expect(f"{name}: invalidations of SWAPDB", reader.pushes(), [])
    reader("GET", "k")
    writer("FLUSHDB")
    expect(f"{name}: invalidations of FLUSHDB", reader.pushes(), [["invalidate", None]])
    if name == "redis-8.2":
        import redis
        from redis.cache import CacheConfig
        cached = redis.Redis(port=port, protocol=3, cache_config=CacheConfig(), decode_responses=True)
        writer("SET", "s", "old")
        writer("SELECT", "1")
        writer("SET", "s", "new")
        writer("SELECT", "0")
        cached.get("s")
        writer("SWAPDB", "0", "1")
        time.sleep(0.5)
        expect("the server after SWAPDB", writer("GET", "s"), "new")
        expect("redis-py after SWAPDB", cached.get("s"), "old")
finish()
PY
