//! The certificate that checks show (`SSL`).

use standfast_checkers::{IdentityError, TlsIdentity};
use standfast_parser::model::ClientTls;
use std::path::Path;

/// Reads the certificate and key of the block; what is wrong with its files is said in `notes`, and then checks show nothing.
pub fn identity(block: Option<&ClientTls>, notes: &mut Vec<String>) -> Option<TlsIdentity> {
    let block = block?;
    if let Some(ca) = &block.ca
        && let Err(error) = std::fs::metadata(ca)
    {
        // Servers are not verified, as in keepalived, so nothing is missing without it.
        notes.push(format!("SSL error : Cant load CA file... `{ca}`: {error}"));
    }
    let (certificate, key) = match (&block.certificate, &block.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        _ => {
            notes.push("SSL: `certificate` and `key` are only of use together; checks show no certificate".to_owned());
            return None;
        }
    };
    match TlsIdentity::load(Path::new(certificate), Path::new(key), block.password.as_deref()) {
        Ok(identity) => Some(identity),
        Err(error) => {
            let (what, path) = match error {
                IdentityError::Certificate(_) => ("certificate", certificate),
                IdentityError::Key(_) => ("key", key),
            };
            notes.push(format!("SSL error : Cant load {what} file... `{path}`: {error}; checks show no certificate"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(certificate: Option<&str>, key: Option<&str>) -> ClientTls {
        let path = |name: &str| format!("{}/checkers/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        ClientTls { certificate: certificate.map(path), key: key.map(path), ..ClientTls::default() }
    }

    fn outcome(block: &ClientTls) -> (bool, usize) {
        let mut notes = Vec::new();
        (identity(Some(block), &mut notes).is_some(), notes.len())
    }

    #[test]
    fn faults_are_said_and_leave_checks_without_a_certificate() {
        let (certificate, key) = ("untrusted-certificate.pem", "untrusted-key.pem");
        assert_eq!(outcome(&block(Some(certificate), Some(key))), (true, 0));
        assert_eq!(outcome(&block(None, None)), (false, 0));
        for (certificate, key) in [
            (Some(certificate), None),
            (None, Some(key)),
            (Some("absent"), Some(key)),
            (Some(certificate), Some("absent")),
            (Some(key), Some(key)),
            (Some(certificate), Some(certificate)),
        ] {
            assert_eq!(outcome(&block(certificate, key)), (false, 1), "{certificate:?} {key:?}");
        }
        let ca = Some("/nowhere".to_owned());
        assert_eq!(outcome(&ClientTls { ca, ..block(Some(certificate), Some(key)) }), (true, 1));
    }
}
