//! The certificate that checks show to servers that ask for one.

use super::tls;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::{Decode, Document};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// Label of a key that a password opens (RFC 5958).
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// What the older form of encryption begins with (RFC 1421 section 4.6).
const OLD_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";

/// Certificate and key of all checks over TLS (keepalived's `SSL` block). Clones share them.
#[derive(Clone)]
pub struct TlsIdentity(Arc<Inner>);

struct Inner {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// Why there is no identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// The certificate cannot be used, for this reason.
    Certificate(String),
    /// The key cannot be used, for this reason.
    Key(String),
}

impl TlsIdentity {
    /// Takes the contents of PEM files: a chain of certificates that begins with the own one, and its key in PKCS #1, SEC 1 or PKCS #8,
    /// the last one perhaps encrypted.
    ///
    /// # Errors
    /// What is wrong with either of them; also that they do not belong together.
    pub fn new(certificates: &[u8], key: &[u8], password: Option<&str>) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| IdentityError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(IdentityError::Certificate("no certificate in the file".to_owned()));
        }
        let key = read_key(key, password).map_err(IdentityError::Key)?;
        let config = || tls::build_with(chain.clone(), key.clone_key()).map_err(IdentityError::Key);
        let (http1, http2) = (config()?, tls::for_http2(config()?));
        Ok(Self(Arc::new(Inner { certificates: chain, key, http1, http2 })))
    }

    /// The same from files.
    ///
    /// # Errors
    /// As for [`new`](Self::new), or that a file cannot be read.
    pub fn load(certificate: &Path, key: &Path, password: Option<&str>) -> Result<Self, IdentityError> {
        let certificates = std::fs::read(certificate).map_err(|error| IdentityError::Certificate(error.to_string()))?;
        let key = std::fs::read(key).map_err(|error| IdentityError::Key(error.to_string()))?;
        Self::new(&certificates, &key, password)
    }

    pub(in crate::probe) fn http1(&self) -> &Arc<ClientConfig> {
        &self.0.http1
    }

    pub(in crate::probe) fn http2(&self) -> &Arc<ClientConfig> {
        &self.0.http2
    }
}

fn read_key(pem: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(pem);
    if text.contains(OLD_ENCRYPTION) {
        return Err("it is encrypted in the old form; `openssl pkcs8 -topk8 -in OLD -out NEW` makes the one of today"
            .to_owned());
    }
    if text.contains(ENCRYPTED) {
        return decrypt(&text, password);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| error.to_string())
}

fn decrypt(pem: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.ok_or("it is encrypted, and there is no `password`")?;
    let begin = pem.find("-----BEGIN ENCRYPTED").unwrap_or_default();
    let (_, document) = Document::from_pem(pem.get(begin..).unwrap_or_default()).map_err(|error| error.to_string())?;
    let info = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|error| error.to_string())?;
    let clear = info.decrypt(password).map_err(|_| "the `password` does not open it".to_owned())?;
    Ok(PrivatePkcs8KeyDer::from(clear.as_bytes().to_vec()).into())
}

impl PartialEq for TlsIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.certificates == other.0.certificates && self.0.key.secret_der() == other.0.key.secret_der())
    }
}

impl Eq for TlsIdentity {}

impl Hash for TlsIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.certificates.hash(state);
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("certificates", &self.0.certificates.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(reason) => write!(f, "the certificate cannot be used: {reason}"),
            Self::Key(reason) => write!(f, "the key cannot be used: {reason}"),
        }
    }
}

impl std::error::Error for IdentityError {}
