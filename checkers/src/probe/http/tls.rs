//! TLS as keepalived uses it for SSL_GET: encryption, but no opinion about certificates.

use super::identity::TlsIdentity;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, InconsistentKeys, SignatureScheme,
};
use std::sync::{Arc, OnceLock};

/// The client configuration of an identity, or the one of nobody; `None` if the provider knows no usable protocol version.
pub(in crate::probe) fn config(identity: Option<&TlsIdentity>) -> Option<&Arc<ClientConfig>> {
    static NOBODY: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    match identity {
        Some(identity) => Some(identity.http1()),
        None => NOBODY.get_or_init(build).as_ref(),
    }
}

/// The same for HTTP/2.
pub(in crate::probe) fn config_h2(identity: Option<&TlsIdentity>) -> Option<&Arc<ClientConfig>> {
    static NOBODY: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    match identity {
        Some(identity) => Some(identity.http2()),
        None => NOBODY.get_or_init(|| build().map(for_http2)).as_ref(),
    }
}

pub(super) fn for_http2(mut config: Arc<ClientConfig>) -> Arc<ClientConfig> {
    Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn build() -> Option<Arc<ClientConfig>> {
    Some(finish(builder().ok()?.with_no_client_auth()))
}

/// A configuration that shows this certificate to servers that ask.
pub(super) fn build_with(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, String> {
    let key = ring::default_provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    let certified = CertifiedKey::new(chain, key);
    // Certificates of X.509 version 1 cannot be compared with their key, but shown.
    if certified.keys_match() == Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
        return Err("it is not the key of the certificate".to_owned());
    }
    let builder = builder().map_err(|error| error.to_string())?;
    Ok(finish(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))))
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))))
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    // A check must see the server as a new client does.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// Accepts every certificate whose key the server can prove to have.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tolerate(verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        tolerate(verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Certificates that webpki does not read at all, such as those of X.509 version 1, are as good as any other; a wrong signature
/// is not.
fn tolerate(verified: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
    match verified {
        Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::BadEncoding)) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        verified => verified,
    }
}
