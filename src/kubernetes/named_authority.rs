//! Trusts a server's certificate that the user names as its authority.
//!
//! webpki takes an authority only as the issuer of other certificates. Go, and so kubectl and Docker, also takes it as that of
//! the server: those of a local proxy, such as Teleport's `tsh proxy kube`, of a registry that signs for itself, and pinned ones
//! are such certificates. Source: `Certificate.Verify` of Go's crypto/x509.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

#[derive(Debug)]
struct NamedAuthority {
    authorities: Vec<CertificateDer<'static>>,
    /// Trusts what these authorities have signed.
    signed: Arc<WebPkiServerVerifier>,
    inner: Arc<dyn ServerCertVerifier>,
}

/// Trusts what `inner` trusts, and these certificates themselves.
pub(crate) fn beside(
    inner: Arc<dyn ServerCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Arc<dyn ServerCertVerifier> {
    match signed_by(&authorities, provider) {
        Some(signed) => Arc::new(NamedAuthority {
            authorities,
            signed,
            inner,
        }),
        None => inner,
    }
}

/// Trusts these authorities, and those of them that are the server's own certificate.
pub(super) fn trust(tls: &mut ClientConfig, authorities: &[Vec<u8>]) {
    let provider = Arc::clone(tls.crypto_provider());
    if let Some(verifier) = of(authorities, provider) {
        tls.dangerous().set_certificate_verifier(verifier);
    }
}

/// `None`: there is no authority, or one that cannot be read, which kube reports.
fn of(authorities: &[Vec<u8>], provider: Arc<CryptoProvider>) -> Option<Arc<dyn ServerCertVerifier>> {
    let authorities: Vec<_> = authorities.iter().cloned().map(CertificateDer::from).collect();
    let signed = signed_by(&authorities, provider)?;
    Some(Arc::new(NamedAuthority {
        authorities,
        inner: Arc::clone(&signed) as Arc<dyn ServerCertVerifier>,
        signed,
    }))
}

/// `None`: there is no authority, or one that cannot be read.
fn signed_by(
    authorities: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).ok()?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    verifier.build().ok()
}

impl NamedAuthority {
    /// Checks the time and the name of a certificate that is one of the authorities.
    ///
    /// `inner` may not have checked them: the verifier of macOS has the same error for an expired certificate as for others.
    fn verify_named(
        &self,
        certificate: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.signed.verify_server_cert(certificate, &[], server_name, &[], now) {
            // webpki finds that it is an authority, or has no issuer, after it has checked its time.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }
}

impl ServerCertVerifier for NamedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let is_named = || {
            self.authorities
                .iter()
                .any(|named| named.as_ref() == end_entity.as_ref())
        };
        match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if is_named() =>
            {
                self.verify_named(end_entity, server_name, now)
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::OtherError;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// An authority, as a local proxy makes one for itself: `CA:TRUE`, and `api.example` is its name.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUHzUJcpnd4VZu6+dYllzBttL8pucwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFbG9jYWwwIBcNMjYxMjAxMDM1MDA1WhgPMjEyNjExMDcwMzUw
MDVaMBAxDjAMBgNVBAMMBWxvY2FsMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
EZO0hDPtFYCnnYPeqjnCAAFlg9gYFvvB9viDKAn7/SGmMoDdOdT6xOv5S5H96iu6
jivfNLQaGqjaX1HnwFok6qNrMGkwHQYDVR0OBBYEFJIwNZjPO7fmFu5N1WR91wpS
x6J6MB8GA1UdIwQYMBaAFJIwNZjPO7fmFu5N1WR91wpSx6J6MA8GA1UdEwEB/wQF
MAMBAf8wFgYDVR0RBA8wDYILYXBpLmV4YW1wbGUwCgYIKoZIzj0EAwIDSAAwRQIg
fVnf35xQzIqoxc+IKzRIPpgIwNcQYVGyHASzMFnh4JQCIQDpxKedXEmlnCOgVg8Y
Uz5wo5JbihyYKSR0a6D4KxEefA==
-----END CERTIFICATE-----
";
    /// A certificate for the same name that the authority has signed.
    const SIGNED: &str = "-----BEGIN CERTIFICATE-----
MIIBizCCATGgAwIBAgIUCHKJWOrr7rIXYZ5DjIhZvJYHXvYwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFbG9jYWwwIBcNMjYxMjAxMDM1MDA1WhgPMjEyNjExMDcwMzUw
MDVaMA8xDTALBgNVBAMMBGxlYWYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ5
NzEdhGdNUftKnlCyu6QTB4VhvDAS4X0s5PhFTWUR/837a+KJfgJ32/OdKlgF4Hiv
aoeS6I0VAGWtJaCxhJ+eo2gwZjAWBgNVHREEDzANggthcGkuZXhhbXBsZTAMBgNV
HRMBAf8EAjAAMB0GA1UdDgQWBBRrgbwCqddbX4xKnAiP1DfwhOLKkDAfBgNVHSME
GDAWgBSSMDWYzzu35hbuTdVkfdcKUseiejAKBggqhkjOPQQDAgNIADBFAiEArm8K
AXMDHe5cZYhJPgVb5hGgucY7e4IBOorVSmBjrzECIGtxHit4M5OIQHcQacTCwI+x
PL/IkPLoMdAAZQecmhen
-----END CERTIFICATE-----
";
    const VALID: u64 = 1_900_000_000;
    const EXPIRED: u64 = 5_000_000_000;

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    /// The verifier of macOS: it says `Other` also of a certificate that has expired.
    #[derive(Debug)]
    struct Platform;

    impl ServerCertVerifier for Platform {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            let why = std::io::Error::other("certificate is expired: -67818");
            Err(CertificateError::Other(OtherError(Arc::new(why))).into())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::DecryptError)
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::DecryptError)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            Vec::new()
        }
    }

    fn is_valid(verifier: &dyn ServerCertVerifier, served: &str, name: &'static str, now: u64) -> bool {
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier.verify_server_cert(&der(served), &[], &name, &[], now).is_ok()
    }

    #[test]
    fn a_platform_that_does_not_say_that_a_certificate_has_expired_does_not_make_it_trusted() {
        let is_trusted = |served: &str, name: &'static str, now: u64| {
            let provider = Arc::new(ring::default_provider());
            is_valid(
                &*beside(Arc::new(Platform), vec![der(AUTHORITY)], provider),
                served,
                name,
                now,
            )
        };
        assert!(is_trusted(AUTHORITY, "api.example", VALID));
        assert!(!is_trusted(AUTHORITY, "api.example", EXPIRED));
        assert!(!is_trusted(AUTHORITY, "other.example", VALID));
        assert!(!is_trusted(SIGNED, "api.example", VALID), "it is another one");
    }

    #[test]
    fn a_certificate_that_is_named_as_an_authority_is_trusted_for_its_name_and_time() {
        let is_trusted = |authority: &str, served: &str, name: &'static str, now: u64| {
            let provider = Arc::new(ring::default_provider());
            is_valid(&*of(&[der(authority).to_vec()], provider).unwrap(), served, name, now)
        };
        assert!(is_trusted(AUTHORITY, AUTHORITY, "api.example", VALID));
        assert!(is_trusted(AUTHORITY, SIGNED, "api.example", VALID));
        assert!(is_trusted(SIGNED, SIGNED, "api.example", VALID), "it is pinned");
        assert!(!is_trusted(AUTHORITY, AUTHORITY, "other.example", VALID));
        assert!(!is_trusted(SIGNED, SIGNED, "other.example", VALID));
        assert!(!is_trusted(AUTHORITY, AUTHORITY, "api.example", EXPIRED));
        assert!(
            !is_trusted(SIGNED, AUTHORITY, "api.example", VALID),
            "it is another one"
        );
    }
}
