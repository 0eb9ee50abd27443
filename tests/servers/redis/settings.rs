//! What an operator's settings reach: the shared tier that `edge-node` makes of them, on real servers. Certificates are with
//! the tests of encryption.
//!
//! Which refusals there are is tested where settings are read and turned into the tier's own.

use cache_core::Lane;
use cache_redis::{Address, RedisTier, Servers, Settings};
use edge_node::Ending;
use edge_node::shared_tier::redis_settings;

use crate::commands::run_with;
use crate::nodes::{PATIENCE, eventually, key, read, warm};
use crate::sentinel::{Scene, both_share, both_work, none_is_stale};
use crate::server::Server;

/// The tier's settings, of a node's as they stand behind `--set`.
pub(crate) fn tier(given: &[String]) -> Settings {
    let overrides = given
        .iter()
        .fold(config::Overrides::new(), |all, one| all.set(one));
    let loaded = config::Sources::new().overrides(overrides).load();
    redis_settings(&loaded.expect("right settings").settings, "test").expect("they can be obeyed")
}

/// The same settings for a command of the program.
pub(crate) async fn run(command: &str, given: &[String]) -> (Ending, String) {
    let mut words = vec![command, "--prefix", "test"];
    words.extend(given.iter().flat_map(|one| ["--set", one]));
    run_with(&words).await
}

/// Enough for a node at the sentinels.
pub(crate) const AT_SENTINEL: &str = "&+switch-master +sentinel|get-master-addr-by-name +subscribe";

/// Makes the user that [`watched`] speaks of.
async fn let_watch(sentinel: &Server) {
    let user = ["ACL", "SETUSER", "watcher", "on", ">two"].into_iter();
    let user: Vec<_> = user.chain(AT_SENTINEL.split(' ')).collect();
    sentinel.command(&user).await;
}

/// A node's settings for what Sentinel watches here, as a user of the sentinels' own.
pub(crate) fn watched(scene: &Scene) -> Vec<String> {
    let Servers::Sentinel(sentinel) = scene.settings("market").servers else {
        panic!("the scene is one of Sentinel")
    };
    let addresses: Vec<_> = sentinel.addresses.iter().map(ToString::to_string).collect();
    vec![
        format!("redis.sentinels={}", addresses.join(",")),
        "redis.sentinel_master=market".to_owned(),
        "redis.sentinel_user=watcher".to_owned(),
        "redis.sentinel_password=two".to_owned(),
        "redis.db=0".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_settings_reach_the_master_that_sentinel_names_and_follow_a_failover() {
    let mut scene = Scene::start().await;
    let_watch(&scene.sentinel).await;
    let given = watched(&scene);
    let mut settings = tier(&given);
    settings.reached_at = scene.settings("market").reached_at;
    let nodes = [warm(settings.clone()).await, warm(settings.clone()).await];
    both_share(&nodes).await;
    eventually(
        "each node listens to Sentinel, for each lane",
        PATIENCE,
        async || {
            let clients = scene.sentinel.text(&["CLIENT", "LIST"]).await;
            let listens = |line: &&str| line.contains(" user=watcher") && line.contains(" sub=1");
            clients.lines().filter(listens).count() == nodes.len() * Lane::ALL.len()
        },
    )
    .await;
    // One that has no connection yet asks Sentinel.
    let names = async |host: &str| {
        let tier = RedisTier::new(settings.clone()).expect("right settings");
        tier.check()
            .await
            .is_ok_and(|report| report.masters() == [Address::new(host, 6379)])
    };
    eventually("the report names the master", PATIENCE, async || {
        names(&scene.master.inside).await
    })
    .await;
    scene.master.kill().await;
    both_work(&nodes).await;
    eventually("the report names the successor", PATIENCE, async || {
        names(&scene.replica.inside).await
    })
    .await;
    none_is_stale(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_settings_let_replicas_answer_reads() {
    let scene = Scene::start().await;
    let_watch(&scene.sentinel).await;
    let mut given = watched(&scene);
    given.push("redis.read_replicas=on".to_owned());
    let mut settings = tier(&given);
    settings.reached_at = scene.settings("market").reached_at;
    let node = warm(settings).await;
    node.put(&key(1), 1).await.expect("put");
    crate::replicas::meets(&node, std::slice::from_ref(&scene.replica)).await;
    assert_eq!(read(&node, 1).await, Some(1));
    node.shutdown().await;
}

/// The program knows no port mappings: the containers' own addresses must be reached from here, as they are on Linux.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn check_says_which_master_sentinel_has_named() {
    let scene = Scene::start().await;
    let_watch(&scene.sentinel).await;
    let mut given = watched(&scene);
    let (ending, said) = run("check", &given).await;
    assert_eq!(ending, Ending::Well, "{said}");
    let sentinel = format!(
        "the master market of the sentinels 127.0.0.1:1, {}:{}",
        scene.sentinel.host, scene.sentinel.port
    );
    let master = format!("{}:6379", scene.master.inside);
    let row = |name: &str| said.lines().find(|line| line.contains(name)).unwrap_or_default();
    assert!(row("servers").contains(&sentinel), "{said}");
    assert!(row("connected to").contains(&master), "{said}");
    given.push("redis.sentinel_password=three".to_owned());
    let (ending, said) = run("check", &given).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("Sentinel") && !said.contains("three"), "{said}");
}
