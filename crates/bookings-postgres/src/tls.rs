//! Encryption of the way to the server: the modes of libpq that an address can ask for, and what each of them demands.
//!
//! It trusts nobody by default: the mode that verifies nothing has to be written down as such.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::Fault;

/// How the server is reached.
pub(crate) enum Encryption {
    /// In the clear.
    None,
    /// Encrypted.
    Tls(MakeRustlsConnect),
}

impl Encryption {
    /// Connections of a pool.
    pub(crate) fn manager(self, config: Config, manager: ManagerConfig) -> Manager {
        match self {
            Self::None => Manager::from_config(config, NoTls, manager),
            Self::Tls(tls) => Manager::from_config(config, tls, manager),
        }
    }

    /// One connection, and the task that carries it until the client is dropped.
    pub(crate) async fn connect(self, config: &Config) -> Result<(Client, JoinHandle<()>), Fault> {
        match self {
            Self::None => {
                let (client, connection) = config.connect(NoTls).await?;
                Ok((client, tokio::spawn(async move { drop(connection.await) })))
            }
            Self::Tls(tls) => {
                let (client, connection) = config.connect(tls).await?;
                Ok((client, tokio::spawn(async move { drop(connection.await) })))
            }
        }
    }
}

/// What an address says about encryption, and the rest of it.
pub(crate) struct Asked {
    pub(crate) rest: String,
    mode: Option<String>,
    roots: Option<PathBuf>,
}

impl Asked {
    /// Takes the words about encryption out of a URL, or of the `key=value` form: the client knows only some of them.
    pub(crate) fn of(address: &str) -> Self {
        let (before, words, separator) = match address.split_once("://") {
            None => ("", address, ' '),
            Some(_) => {
                // A password may have a question mark: the words begin behind the host.
                let host = address.find('@').unwrap_or_default();
                let query = address[host..]
                    .find('?')
                    .map_or(address.len(), |place| host + place);
                let (before, query) = address.split_at(query);
                (before, query.trim_start_matches('?'), '&')
            }
        };
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for word in words.split(separator).filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(value)),
                _ => rest.push(word),
            }
        }
        let words = rest.join(&separator.to_string());
        let rest = match (before, rest.is_empty()) {
            ("", _) => words,
            (before, true) => before.to_owned(),
            (before, false) => format!("{before}?{words}"),
        };
        Self { rest, mode, roots }
    }

    /// What that demands, noted in `config` too.
    pub(crate) fn encryption(&self, config: &mut Config) -> Result<Encryption, Fault> {
        let mode = self.mode.as_deref().unwrap_or("disable");
        let verifier = match (mode, &self.roots) {
            ("disable", None) => {
                config.ssl_mode(SslMode::Disable);
                return Ok(Encryption::None);
            }
            ("require", None) => Verifying::Nothing,
            ("verify-full", roots) => Verifying::All(trusted(roots.as_deref())?),
            ("disable" | "require", Some(_)) => {
                return Err(Fault::Unfit(format!(
                    "sslrootcert names whom to trust, and sslmode={mode} verifies nobody: use sslmode=verify-full"
                )));
            }
            (other, _) => {
                // A word that nobody knows may be part of a password that was not escaped.
                let known = ["allow", "prefer", "verify-ca"].contains(&other);
                let named = if known { format!("={other}") } else { String::new() };
                return Err(Fault::Unfit(format!(
                    "this sslmode{named} is not known here: use disable, require (encrypted, but to whoever answers) or verify-full \
                     (and only to the server of that name), with sslrootcert=FILE for a certificate authority of your own"
                )));
            }
        };
        config.ssl_mode(SslMode::Require);
        Ok(Encryption::Tls(MakeRustlsConnect::new(verifier.client()?)))
    }
}

/// What is verified of the server.
enum Verifying {
    /// That it has the key of the certificate it shows, whosever that is: nobody who only listens can read along.
    Nothing,
    /// That somebody trusted says the certificate is of the host that was asked for.
    All(RootCertStore),
}

impl Verifying {
    fn client(self) -> Result<ClientConfig, Fault> {
        let provider = Arc::new(ring::default_provider());
        let versions =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| Fault::Unfit(format!("TLS cannot be set up: {error}")))?;
        Ok(match self {
            Self::All(roots) => versions.with_root_certificates(roots).with_no_client_auth(),
            Self::Nothing => versions
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth(),
        })
    }
}

/// The certificates in that file, or those this machine trusts.
fn trusted(file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        let known = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(known.certs);
        if roots.is_empty() {
            return Err(Fault::Unfit(
                "this machine trusts no certificate authority: install its ca-certificates, or name one with sslrootcert=FILE"
                    .to_owned(),
            ));
        }
        return Ok(roots);
    };
    let unfit = |what: &dyn std::fmt::Display| {
        Fault::Unfit(format!(
            "sslrootcert={} cannot be used ({what}): name a file of certificates in PEM form",
            file.display()
        ))
    };
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unfit(&error))? {
        let certificate = certificate.map_err(|error| unfit(&error))?;
        roots.add(certificate).map_err(|error| unfit(&error))?;
    }
    if roots.is_empty() {
        return Err(unfit(&"it holds no certificate"));
    }
    Ok(roots)
}

/// Takes every certificate for good, as `sslmode=require` says.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_about_encryption_are_taken_out_of_either_form_and_the_rest_is_kept() {
        let url = Asked::of("postgres://ada@db/b?sslmode=verify-full&application_name=x&sslrootcert=/ca.pem");
        assert_eq!(url.rest, "postgres://ada@db/b?application_name=x");
        assert_eq!(
            (url.mode.as_deref(), url.roots.as_deref()),
            (Some("verify-full"), Some(Path::new("/ca.pem")))
        );
        assert_eq!(
            Asked::of("postgres://ada@db/b?sslmode=require").rest,
            "postgres://ada@db/b"
        );
        let words = Asked::of("host=db sslmode=require dbname=b");
        assert_eq!(
            (words.rest.as_str(), words.mode.as_deref()),
            ("host=db dbname=b", Some("require"))
        );
        assert!(Asked::of("host=db").mode.is_none());
    }

    #[test]
    fn what_contradicts_itself_or_is_not_known_is_refused_with_what_would_be_right() {
        let refusal = |address: &str| {
            let encryption = Asked::of(address).encryption(&mut Config::new());
            encryption.err().expect("it is refused").to_string()
        };
        assert!(refusal("host=db sslmode=verify-ca").contains("use disable, require"));
        assert!(refusal("host=db sslmode=require sslrootcert=/ca.pem").contains("use sslmode=verify-full"));
        let missing = refusal("host=db sslmode=verify-full sslrootcert=/no/such.pem");
        assert!(
            missing.contains("/no/such.pem") && missing.contains("PEM"),
            "{missing}"
        );
    }
}
