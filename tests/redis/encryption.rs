//! Connections over TLS, with certificates made for the test, as a user with the rights it needs and no more.
//!
//! The server's own default user is off, and whoever shows no certificate is not heard.

use cache_core::{ErrorKind, Lane, ReadFrom, Shard, SharedStore as _};
use cache_redis::{RedisTier, Settings, Tls};
use edge_node::Ending;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::nodes::{PATIENCE, eventually, key, read, warm};
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

/// A server that hears encrypted connections of known clients alone, and settings that reach it.
async fn server(authority: &Authority) -> (Server, Settings) {
    let (certificate, key) = authority.vouch_for("127.0.0.1");
    let files = [
        ("/tls/authority.pem", &*authority.pem),
        ("/tls/server.pem", &*certificate),
        ("/tls/server.key", &*key),
    ];
    let options = [
        "--port 0 --tls-port 6379",
        "--tls-cert-file /tls/server.pem --tls-key-file /tls/server.key",
        "--tls-ca-cert-file /tls/authority.pem --tls-auth-clients yes",
        "--user default off",
        "--user edge on >secret ~{test:* &{test:* +@all -@dangerous +info +role",
    ];
    let options: Vec<_> = options.iter().flat_map(|line| line.split(' ')).collect();
    let server = Server::start_on(&files, &options).await;
    let mut settings = server.settings();
    (settings.username, settings.password) = (Some("edge".into()), Some("secret".into()));
    let (certificate, key) = authority.vouch_for("node");
    let tls = Tls::default()
        .with_authorities(&*authority.pem)
        .with_client(certificate, key);
    settings.tls = Some(tls);
    (server, settings)
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

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_settings_reach_an_encrypted_server_as_a_user_with_certificates_from_files() {
    let (server, right) = server(&Authority::new()).await;
    let tls = right.tls.expect("encrypted");
    let client = tls.client.expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let authority = file("authority.pem", &tls.authorities.expect("an authority"));
    let known = vec![
        format!("redis.host={}", server.host),
        format!("redis.port={}", server.port),
        "redis.db=0".to_owned(),
        "redis.user=edge".to_owned(),
        "redis.password=secret".to_owned(),
        "redis.ssl=on".to_owned(),
        format!("redis.ssl_cert_file={}", file("node.pem", &client.chain)),
        format!("redis.ssl_key_file={}", file("node.key", &client.key)),
    ];
    let trusted = [&known[..], &[format!("redis.ssl_ca_file={authority}")]].concat();
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
    assert!(said.contains(&key(1).shard().to_string()), "{said}");
    // Nobody on this machine vouches for the server.
    let (ending, said) = settings::run("check", &known).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(said.contains("certificate"), "{said}");
    let nobody = [&trusted[..], &["redis.user=nobody".to_owned()]].concat();
    let (ending, said) = settings::run("check", &nobody).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    assert!(!said.contains("secret"), "{said}");
    std::fs::remove_file(&authority).expect("it is there");
    let (ending, said) = settings::run("check", &trusted).await;
    assert_eq!(ending, Ending::Refused, "{said}");
    let unreadable = format!("redis.ssl_ca_file: {authority} cannot be read");
    assert!(said.starts_with(&unreadable), "{said}");
}
