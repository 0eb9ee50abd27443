//! Encryption of connections: whom to trust, and how to show who we are.
//!
//! It never lets a certificate pass unchecked: there is no setting for that.

use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::crypto::CryptoProvider;

/// How connections are encrypted. The default trusts the authorities of this machine and shows no certificate.
///
/// ```
/// use cache_redis::{RedisTier, Settings, Tls};
///
/// let mut settings = Settings::from_url("rediss://market:secret@cache.internal")?;
/// settings.tls = Some(Tls::default().with_authorities("no certificate"));
/// let refused = RedisTier::new(settings).err().expect("certificates are checked when the tier is made");
/// assert!(refused.to_string().contains("tls.authorities"), "{refused}");
/// # Ok::<(), cache_redis::SettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates of the authorities to trust, as PEM; `None` for those that this machine trusts.
    pub authorities: Option<Vec<u8>>,
    /// What we show to a server that asks who we are; `None` for nothing.
    pub client: Option<ClientCertificate>,
}

/// A certificate and its key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by those that lead to an authority which the server trusts.
    pub chain: Vec<u8>,
    /// The private key. Never shown.
    pub key: Vec<u8>,
}

impl Tls {
    /// The same, trusting these authorities alone.
    #[must_use]
    pub fn with_authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// The same, showing this certificate.
    #[must_use]
    pub fn with_client(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some(ClientCertificate {
            chain: chain.into(),
            key: key.into(),
        });
        self
    }

    /// Both as the client takes them. Encryption itself is ring's, unless the program has chosen another for all of itself.
    pub(crate) fn certificates(&self) -> TlsCertificates {
        if CryptoProvider::get_default().is_none() {
            // Another may have been chosen meanwhile: then that one counts.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        TlsCertificates {
            client_tls: self.client.as_ref().map(|client| ClientTlsConfig {
                client_cert: client.chain.clone(),
                client_key: client.key.clone(),
            }),
            root_cert: self.authorities.clone(),
        }
    }

    /// Every problem that can be seen without a server.
    pub(crate) fn problems(&self) -> Vec<String> {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};

        let no_certificate = |pem: &[u8]| {
            let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
            certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err())
        };
        let mut problems = Vec::new();
        let mut wrong = |wrong: bool, problem: &str| {
            if wrong {
                problems.push(problem.to_owned());
            }
        };
        wrong(
            self.authorities.as_deref().is_some_and(no_certificate),
            "tls.authorities: holds no certificate in PEM, or a broken one; give the file that begins with BEGIN CERTIFICATE",
        );
        if let Some(client) = &self.client {
            wrong(
                no_certificate(&client.chain),
                "tls.client.chain: holds no certificate in PEM, or a broken one; give the file that begins with BEGIN CERTIFICATE",
            );
            wrong(
                PrivateKeyDer::from_pem_slice(&client.key).is_err(),
                "tls.client.key: holds no private key in PEM; give the file that begins with BEGIN PRIVATE KEY",
            );
        }
        problems
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .field("client", &self.client)
            .finish()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("chain", &self.chain.len())
            .field("key", &"***")
            .finish()
    }
}
