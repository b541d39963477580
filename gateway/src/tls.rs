//! TLS with a certificate from files, which are read again when they change (S-62).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(1);

/// Shakes hands with the certificate of the moment.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Tls {
    pub fn read(cert: &Path, key: &Path) -> anyhow::Result<Tls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = ArcSwap::from_pointee(certified(cert, key, &provider)?);
        let certificate =
            Arc::new(Certificate { cert: cert.to_owned(), key: key.to_owned(), provider: provider.clone(), current });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Reads the files again whenever they have changed. What can't be read changes nothing.
    pub async fn follow(&self) {
        let Certificate { cert, key, provider, current } = &*self.certificate;
        let mut known = (changed(cert).await, changed(key).await);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = (changed(cert).await, changed(key).await);
            if now == known {
                continue;
            }
            match certified(cert, key, provider) {
                Ok(certified) => {
                    current.store(Arc::new(certified));
                    known = now;
                    tracing::info!(file = %cert.display(), "a new certificate is in use");
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the changed certificate can't be used"),
            }
        }
    }
}

async fn changed(path: &Path) -> Option<SystemTime> {
    tokio::fs::metadata(path).await.and_then(|data| data.modified()).ok()
}

fn certified(cert: &Path, key: &Path, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| format!("no certificate can be read from {}", cert.display()))?;
    let secret = PrivateKeyDer::from_pem_file(key);
    let secret = secret.with_context(|| format!("no private key can be read from {}", key.display()))?;
    CertifiedKey::from_der(chain, secret, provider)
        .with_context(|| format!("{} and {} do not belong together", cert.display(), key.display()))
}
