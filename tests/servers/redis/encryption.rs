//! Connections over TLS, with certificates made for the test, as a user with the rights it needs and no more.
//!
//! The server's own default user is off, and whoever shows no certificate is not heard.

use std::path::Path;

use cache_core::{ErrorKind, Lane, ReadFrom, Shard, SharedStore as _};
use cache_redis::{RedisTier, Settings, Tls};
use edge_node::Ending;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::nodes::{PATIENCE, eventually, key, read, shard, warm};
use crate::sentinel::{Scene, both_share, both_work, none_is_stale, watches};
use crate::server::Server;
use crate::settings;

/// Who vouches for certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another than those it vouches for have: who vouches for himself is not believed.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for this name, and its key.
    fn vouch_for(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// What a server needs to vouch for itself, as files of its own.
struct Papers([(&'static str, String); 3]);

impl Papers {
    fn of(authority: &Authority) -> Self {
        let (certificate, key) = authority.vouch_for("127.0.0.1");
        Self([
            ("/tls/authority.pem", authority.pem.clone()),
            ("/tls/server.pem", certificate),
            ("/tls/server.key", key),
        ])
    }

    fn files(&self) -> [(&str, &str); 3] {
        self.0.each_ref().map(|(path, text)| (*path, text.as_str()))
    }
}

/// It hears encrypted connections of known clients alone, speaks to other servers in the same way, and knows no user unnamed.
const ENCRYPTED: &str = "port 0\ntls-port 6379\ntls-replication yes\n\
    tls-cert-file /tls/server.pem\ntls-key-file /tls/server.key\n\
    tls-ca-cert-file /tls/authority.pem\ntls-auth-clients yes\n\
    user default off\n";

/// Enough for a node.
const EDGE: &str = "user edge on >secret ~{test:* &{test:* +@all -@dangerous +info +role";

/// Starts a server with this configuration, as the replica of another if there is one.
async fn start(authority: &Authority, configuration: &str, master: Option<&Server>) -> Server {
    let options: Vec<_> = configuration.lines().map(|line| format!("--{line}")).collect();
    let options: Vec<_> = options.iter().flat_map(|line| line.split(' ')).collect();
    let papers = Papers::of(authority);
    match master {
        Some(master) => Server::start_replica(master, &papers.files(), &options).await,
        None => Server::start_on(&papers.files(), &options).await,
    }
}

/// A server that hears encrypted connections of known clients alone, and settings that reach it.
async fn server(authority: &Authority) -> (Server, Settings) {
    let server = start(authority, &format!("{ENCRYPTED}{EDGE}"), None).await;
    let mut settings = server.settings();
    (settings.username, settings.password) = (Some("edge".into()), Some("secret".into()));
    settings.tls = Some(known(authority));
    (server, settings)
}

/// What a node shows, and whom it trusts.
fn known(authority: &Authority) -> Tls {
    let (certificate, key) = authority.vouch_for("node");
    Tls::default()
        .with_authorities(&*authority.pem)
        .with_client(certificate, key)
}

async fn refusal(settings: Settings) -> cache_core::StoreError {
    let tier = RedisTier::new(settings).expect("right settings");
    let asked = tier.read(Shard::barriers(Lane::Bulk), &[], ReadFrom::Primary);
    asked.await.expect_err("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_values_and_events_over_encrypted_connections() {
    let (_server, settings) = server(&Authority::new()).await;
    let report = RedisTier::new(settings.clone())
        .expect("right settings")
        .check()
        .await;
    assert_eq!(report.expect("a report").findings(), []);
    let (writer, reader) = (warm(settings.clone()).await, warm(settings).await);
    writer.put(&key(1), 1).await.expect("put");
    assert_eq!(read(&reader, 1).await, Some(1));
    writer.put(&key(1), 2).await.expect("put");
    eventually("the event", PATIENCE, async || read(&reader, 1).await == Some(2)).await;
    writer.shutdown().await;
    reader.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_we_trust_vouches_for_is_refused() {
    let (_server, mut settings) = server(&Authority::new()).await;
    let stranger = Authority::new();
    let tls = settings.tls.take().expect("encrypted");
    settings.tls = Some(tls.with_authorities(stranger.pem));
    let refused = refusal(settings).await;
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_no_certificate_or_a_wrong_password_is_refused() {
    let authority = Authority::new();
    let (_server, settings) = server(&authority).await;
    let mut nameless = settings.clone();
    nameless.tls = Some(Tls::default().with_authorities(&*authority.pem));
    assert_eq!(refusal(nameless).await.kind(), ErrorKind::Unavailable);
    let mut impostor = settings;
    impostor.password = Some("guessed".to_owned());
    let refused = refusal(impostor).await;
    assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
}

/// A node's settings that name a user.
const AS_EDGE: [&str; 2] = ["redis.user=edge", "redis.password=secret"];

/// A node's settings for certificates, which are files.
struct Files {
    shown: Vec<String>,
    trusted: String,
}

impl Files {
    fn of(tls: Tls, folder: &Path) -> Self {
        let file = |setting: &str, name: &str, text: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            format!("{setting}={}", path.display())
        };
        let client = tls.client.expect("a certificate");
        Self {
            shown: vec![
                "redis.ssl=on".to_owned(),
                file("redis.ssl_cert_file", "node.pem", &client.chain),
                file("redis.ssl_key_file", "node.key", &client.key),
            ],
            trusted: file(
                "redis.ssl_ca_file",
                "authority.pem",
                &tls.authorities.expect("an authority"),
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_settings_reach_an_encrypted_server_as_a_user_with_certificates_from_files() {
    let (server, right) = server(&Authority::new()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let files = Files::of(right.tls.expect("encrypted"), folder.path());
    let known = [
        &[
            format!("redis.host={}", server.host),
            format!("redis.port={}", server.port),
            "redis.db=0".to_owned(),
        ],
        &AS_EDGE.map(str::to_owned)[..],
        &files.shown,
    ]
    .concat();
    let trusted = [&known[..], &[files.trusted]].concat();
    let (writer, reader) = (
        warm(settings::tier(&trusted)).await,
        warm(settings::tier(&trusted)).await,
    );
    for value in [1, 2] {
        writer.put(&key(1), value).await.expect("put");
        eventually("the value, by its event", PATIENCE, async || {
            read(&reader, 1).await == Some(value)
        })
        .await;
    }
    writer.shutdown().await;
    reader.shutdown().await;

    let (ending, said) = settings::run("check", &trusted).await;
    assert_eq!(ending, Ending::Well, "{said}");
    let (ending, said) = settings::run("owned", &trusted).await;
    assert_eq!(ending, Ending::Well, "{said}");
    assert!(said.contains(&shard(1).to_string()), "{said}");
    // Nobody on this machine vouches for the server.
    let (ending, said) = settings::run("check", &known).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("certificate"), "{said}");
    let nobody = [&trusted[..], &["redis.user=nobody".to_owned()]].concat();
    let (ending, said) = settings::run("check", &nobody).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(!said.contains("secret"), "{said}");
    let authority = folder.path().join("authority.pem");
    std::fs::remove_file(&authority).expect("it is there");
    let (ending, said) = settings::run("check", &trusted).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    let unreadable = format!("redis.ssl_ca_file: {} cannot be read", authority.display());
    assert!(said.starts_with(&unreadable), "{said}");
}

/// Enough for a replica at its master, and for a sentinel at both, as the servers' own documentation has it.
const OTHERS: &str = "user replica on >copy +psync +replconf +ping\n\
    user guard on >watch allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info \
    +client|setname +client|kill +script|kill\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_settings_reach_an_encrypted_master_that_encrypted_sentinels_name_and_follow_a_failover() {
    let authority = Authority::new();
    let of_servers = format!("{ENCRYPTED}{EDGE}\n{OTHERS}masteruser replica\nmasterauth copy");
    let master = start(&authority, &of_servers, None).await;
    let replica = start(&authority, &of_servers, Some(&master)).await;
    let of_sentinel = format!(
        "{ENCRYPTED}user watcher on >two {}\n{}sentinel auth-user market guard\nsentinel auth-pass market watch\n",
        settings::AT_SENTINEL,
        watches(&master)
    );
    let sentinel = Server::start_sentinel(&Papers::of(&authority).files(), &of_sentinel).await;
    let mut scene = Scene {
        master,
        replica,
        sentinel,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let files = Files::of(known(&authority), folder.path());
    let given = [
        &settings::watched(&scene)[..],
        &AS_EDGE.map(str::to_owned),
        &files.shown,
        &[files.trusted],
    ]
    .concat();
    let mut settings = settings::tier(&given);
    settings.reached_at = scene.settings("market").reached_at;
    let nodes = [warm(settings.clone()).await, warm(settings).await];
    both_share(&nodes).await;
    scene.master.kill().await;
    both_work(&nodes).await;
    none_is_stale(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_on_one_side_alone_is_told_in_words_with_the_setting_that_would_be_right() {
    let authority = Authority::new();
    let (encrypted, _) = server(&authority).await;
    let plain = Server::start().await;
    for (server, ssl, expected) in [
        (&encrypted, "off", ["speaks TLS", "redis.ssl to on"]),
        (&plain, "on", ["speaks clear text", "redis.ssl to off"]),
    ] {
        let given = [
            format!("redis.host={}", server.host),
            format!("redis.port={}", server.port),
            format!("redis.ssl={ssl}"),
        ];
        let (ending, said) = settings::run("check", &given).await;
        assert_eq!(ending, Ending::Refused, "{said}");
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    }
}
