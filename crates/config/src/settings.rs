//! The table of all settings: the only place where a setting is written down.
//!
//! Holds no rule that spans two settings (see `rules.rs`) and no code: `table.rs` expands it.
//!
//! A row reads `name: type = default { preset: value };`. A value is written as text, exactly as an operator
//! would write it, because every layer then passes through the same parser. `edge` and `regional` take from
//! `production` what they do not name themselves. `required` says that the preset has no sensible value and a
//! later layer must give one.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use crate::secret::Secret;
use crate::table::settings;
use crate::values::{
    AvailabilityZone, CacheTier, Database, Datacenter, FilePath, Host, Hours, MasterName, NetworkTier,
    NodeId, Preset, Rack, Region, RegionDistances, Sentinels, Shards, Switch, TtlMultiplier, User,
};

settings! {
    /// Which preset fills in what no later layer gives.
    /// The default is `development`, so that a fresh checkout starts without any settings.
    environment: Preset = "development";

    /// How to reach Redis, the tier that all nodes share.
    "REDIS" redis: Redis {
        /// Name or address of the Redis server. The port stands in its own setting.
        host: Host = "localhost" { staging: "redis-staging.internal", production: "redis-cluster.internal" };
        /// Port of the Redis server.
        port: NonZeroU16 = "6379";
        /// Number of the Redis database. Development uses 1, so that it can be emptied without touching
        /// what else lives on the developer's machine.
        db: Database = "0" { development: "1" };
        /// User of the servers' access list; without one the servers' default user. It needs a password.
        user: Option<User> = "";
        /// Password for the Redis server; without one no authentication is attempted.
        /// A production Redis must not be open, therefore production requires it.
        password: Option<Secret> = "" { production: required };
        /// Whether connections to Redis, and to the sentinels, are encrypted with TLS. No certificate passes unchecked.
        ssl: Switch = "off" { staging: "on", production: "on" };
        /// File with the certificates of the authorities to trust, in PEM; without one those that this machine trusts.
        ssl_ca_file: Option<FilePath> = "";
        /// File with the certificate to show to servers that ask for one, in PEM, followed by those that lead to an
        /// authority which the servers trust. It needs its key.
        ssl_cert_file: Option<FilePath> = "";
        /// File with the private key of `redis.ssl_cert_file`, in PEM, not encrypted.
        ssl_key_file: Option<FilePath> = "";
        /// Most connections that this node opens to Redis. 20 serve a small node; production expects
        /// more traffic. The shared tier has four to each master, and two to each replica that it reads from; it
        /// refuses to start with fewer than for one of each.
        max_connections: NonZeroUsize = "20" { production: "50" };
        /// How long one command may take before it counts as failed. Production waits longer, since
        /// there a failed command is dearer than a slow one. The shared tier waits for a second at most, so that
        /// two attempts fit into a lease.
        socket_timeout: Duration = "5s" { production: "10s" };
        /// How long opening a connection may take before it counts as failed. The shared tier waits for a
        /// second at most.
        socket_connect_timeout: Duration = "5s" { production: "10s" };
        /// Whether a command that timed out is tried once more. On, since a lost packet is commoner than a
        /// lost server. The shared tier decides for itself: a read is sent again over a new connection, a write never.
        retry_on_timeout: Switch = "on";
        /// How often an idle connection is checked. 30 s notices a dead connection before most firewalls drop
        /// it. The shared tier checks its connections more often, with the heartbeats of its leases.
        health_check_interval: Duration = "30s";
        /// First node of a Redis Cluster, from which the others are discovered.
        /// When given, the cluster is used instead of `redis.host`.
        cluster_host: Option<Host> = "";
        /// Port of the first node of the Redis Cluster.
        cluster_port: NonZeroU16 = "6379";
        /// Password for the Redis Cluster; without one `redis.password` is used.
        cluster_password: Option<Secret> = "";
        /// Sentinels, of which the first to answer is believed: better all of them than one. When given, the master
        /// that they name is used instead of `redis.host`, with `redis.user`, `redis.password` and `redis.db`, and a
        /// failover is followed.
        sentinels: Option<Sentinels> = "";
        /// Name under which the sentinels watch the master, as in their `sentinel monitor`.
        sentinel_master: Option<MasterName> = "";
        /// User of the sentinels' own access list; without one their default user. It needs a password.
        sentinel_user: Option<User> = "";
        /// Password for the sentinels; without one no authentication is attempted there. It is their own:
        /// `redis.password` is not tried.
        sentinel_password: Option<Secret> = "";
        /// Whether replicas may answer reads. Off, since each node then holds two more connections to every replica, an
        /// answer that a replica cannot give takes two round trips, and a read may lack what was published within the
        /// lease. Switch it on where reads are more than the masters can bear.
        read_replicas: Switch = "off";
        /// Shards of each lane, the same on every node of a deployment, whose first node decides; one with another number refuses to
        /// start. Without it 64 on one server, behind Sentinel as well, and 64 in a cluster. More shards lose less by a flush, fewer
        /// make batches of reads and heartbeats smaller. `edge-node reshard` changes it, and empties the cache.
        shards: Option<Shards> = "";
    }

    /// Who this node is and where it stands.
    "EDGE_NODE" edge_node: EdgeNode {
        /// Identity of this node, unique among all nodes: events carry it as their source. Two nodes with one
        /// identity would ignore each other's events, therefore only development has a default.
        id: NodeId = "local" { staging: required, production: required };
        /// Region in which this node stands. It decides which offers are near, therefore only development has
        /// a default.
        region: Region = "local" { staging: required, production: required };
        /// Datacenter in which this node stands, for operators' eyes.
        datacenter: Option<Datacenter> = "";
        /// Rack in which this node stands, for operators' eyes.
        rack: Option<Rack> = "";
        /// Availability zone in which this node stands, for operators' eyes.
        availability_zone: Option<AvailabilityZone> = "";
        /// Quality of the network between this node and the others.
        network_tier: NetworkTier = "standard" { production: "premium", edge: "edge" };
        /// Whom this node's cache serves.
        cache_tier: CacheTier = "edge" { production: "edge", regional: "regional" };
    }

    /// How much the memory tier holds and how events are handled.
    "CACHE" cache: Cache {
        /// Most entries in the memory tier (L1) of this node. Small in development, so that eviction is seen
        /// there too.
        l1_size: NonZeroUsize = "100" { staging: "500", production: "2000", edge: "500", regional: "5000" };
        /// Time to live in memory as a share of the time to live in Redis. The smaller, the sooner a node
        /// that missed an event corrects itself; the larger, the fewer reads reach Redis.
        l1_ttl_multiplier: TtlMultiplier = "0.3" { staging: "0.4", production: "0.6", edge: "0.3", regional: "0.8" };
        /// Most received events waiting to be handled.
        event_queue_size: NonZeroUsize = "1000" { staging: "5000", production: "20000" };
        /// How long handling one event may take before it counts as failed. 5 s is beyond the 2 s at which
        /// event latency is critical, so that it cuts off only what is lost anyway.
        event_processing_timeout: Duration = "5s";
        /// Most keys invalidated in one round trip to Redis. 100 make the round trip cheap
        /// for each key without holding up what other nodes ask meanwhile.
        invalidation_batch_size: NonZeroUsize = "100";
        /// For how many hours statistics are kept. A day, the span of the market's volume figures.
        stats_retention_hours: Hours = "24";
        /// How often the node examines its own health. 30 s, as most load balancers ask.
        health_check_interval: Duration = "30s";
    }

    /// What the market allows, and what is near.
    "MARKET" market: Market {
        /// The longest time one booking may take, in hours. A year: capacity is sold by the year at most, and what is
        /// longer is a slipped digit.
        longest_booking_hours: Hours = "8760";
        /// How many hours ahead a booking may begin. A year, for the same reason.
        booking_lead_hours: Hours = "8760";
        /// How long ago a new booking may have begun. 60 s, since a request that asks for "now" is under way for a
        /// while, and clocks differ.
        late_start: Duration = "60s";
        /// How long a quoted price holds, whatever happens to supply meanwhile. 60 s, the longest that a price is shown
        /// without being looked up again.
        quote_life: Duration = "60s";
        /// How far regions are from each other, in any unit, such as `us-east/us-west=60, us-east/europe=80`. A region
        /// that is nearer to `edge_node.region` is offered before one that is further away; without it, none is near.
        region_distances: Option<RegionDistances> = "";
    }

    /// Which parts of the cache are switched on.
    "CACHE" features: Features {
        /// Whether the memory tier is used. Off means that every read goes to Redis: slow, but good for
        /// comparing.
        enable_l1: Switch = "on";
        /// Whether events invalidate entries. Off means that entries live until their time to live ends.
        enable_event_driven: Switch = "on";
        /// Whether large values are compressed in Redis. On, since LZ4 costs little time and saves memory and
        /// network.
        enable_compression: Switch = "on";
        /// Whether metrics are collected and offered. Off in development, where nobody scrapes them.
        enable_metrics: Switch = "off" { staging: "on", production: "on" };
        /// Whether the node examines its own health at intervals. Off in development, where it would clutter
        /// the log.
        enable_health_checks: Switch = "off" { staging: "on", production: "on" };
    }

    /// How much work goes on at once.
    "CACHE" performance: Performance {
        /// Connections to Redis kept open while idle; at most `redis.max_connections`. The shared tier keeps all of its
        /// connections, and no pool.
        connection_pool_size: NonZeroUsize = "10";
        /// Most events kept for later while Redis can not be reached. 10,000 outlast more than a minute
        /// at 150 events a second.
        max_event_queue_size: NonZeroUsize = "10000";
        /// How many workers handle events at once. An edge node is small and keeps its cores for reads.
        event_processing_workers: NonZeroUsize = "4" { production: "8", edge: "2", regional: "6" };
        /// Whether the memory tier is filled before the node reports ready. On, since a cold node is slow
        /// for exactly those who were just routed to it.
        warmup_enabled: Switch = "on";
    }

    /// What must be protected.
    "CACHE" security: Security {
        /// Whether this node refuses to run with unencrypted connections to Redis: when on, `redis.ssl` must
        /// be on too.
        enable_tls: Switch = "off";
        /// Whether callers of this node must present `security.auth_token`.
        require_auth: Switch = "off";
        /// Token that callers of this node must present when `security.require_auth` is on.
        auth_token: Option<Secret> = "";
        /// Whether bookings are sold by a store that may lose what it acknowledged: one on Redis, or a PostgreSQL
        /// server that does not wait for its disk. Off, since what was paid for must not vanish with a failover;
        /// such a store then holds GPUs, and refuses to confirm.
        allow_lossy_bookings: Switch = "off";
    }
}
