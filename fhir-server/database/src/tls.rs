//! TLS to the database, as libpq's connection URLs ask for it.
//!
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>
//!
//! One thing differs: without `sslmode`, a host that is neither this machine nor a socket is asked for TLS with a certificate
//! of its name (`verify-full`), where libpq would be content with a connection in clear.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fhir_model::{Error, Result};
use percent_encoding::percent_decode_str;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::verifier::LenientVerifier;

/// `sslmode`, but for `allow`, which is `prefer` here: both take what the server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// In clear.
    Disable,
    /// Encrypted when the server offers it, whoever it is.
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, to a server with a certificate of a trusted authority.
    VerifyCa,
    /// Encrypted, to a server whose certificate is a trusted authority's and names the host.
    VerifyFull,
}

impl TlsMode {
    fn parse(text: &str) -> Result<TlsMode> {
        match text {
            "disable" => Ok(TlsMode::Disable),
            "allow" | "prefer" => Ok(TlsMode::Prefer),
            "require" => Ok(TlsMode::Require),
            "verify-ca" => Ok(TlsMode::VerifyCa),
            "verify-full" => Ok(TlsMode::VerifyFull),
            _ => Err(Error::invalid(
                "`sslmode` in the database URL is none of disable, allow, prefer, require, verify-ca, verify-full",
            )),
        }
    }

    /// What the driver knows of it: the rest is the verifier's.
    pub(crate) fn negotiation(self) -> SslMode {
        match self {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        }
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsMode::Disable => "without TLS",
            TlsMode::Prefer => "with TLS if the database offers it, its certificate not verified",
            TlsMode::Require => "with TLS, the database's certificate not verified",
            TlsMode::VerifyCa => "with TLS, the database's certificate verified but for its name",
            TlsMode::VerifyFull => "with TLS, the database's certificate verified",
        })
    }
}

/// The `sslrootcert` that means the machine's authorities.
const SYSTEM: &str = "system";

/// The parameters of a URL that are TLS's.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsParameters {
    mode: Option<TlsMode>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsParameters {
    /// Takes TLS's parameters out of a URL.
    ///
    /// # Errors
    ///
    /// When the user is not where the driver looks for it, `sslmode` is no mode, a parameter of TLS is not known here, or only one
    /// of certificate and key is named.
    pub(crate) fn take(url: &str) -> Result<(String, TlsParameters)> {
        check_user(url)?;
        let mut taken = TlsParameters::default();
        let Some((before, query)) = url.split_once('?') else { return Ok((url.to_owned(), taken)) };
        let mut rest = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decoded(value);
            let path = || Some(PathBuf::from(&*value)).filter(|path| !path.as_os_str().is_empty());
            match &*percent_decoded(name) {
                "sslmode" => taken.mode = Some(TlsMode::parse(&value)?),
                "sslrootcert" => taken.root = path(),
                "sslcert" => taken.certificate = path(),
                "sslkey" => taken.key = path(),
                // The driver has a few of its own, and may understand others later: it decides nothing about TLS.
                name if name.starts_with("ssl") => {
                    let text = "the database URL cannot be read: of TLS's parameters only sslmode, sslrootcert, sslcert and sslkey are known here";
                    return Err(Error::invalid(text));
                }
                _ => rest.push(pair),
            }
        }
        if taken.certificate.is_some() != taken.key.is_some() {
            return Err(Error::invalid("`sslcert` and `sslkey` in the database URL belong together"));
        }
        let separator = if rest.is_empty() { "" } else { "?" };
        Ok((format!("{before}{separator}{}", rest.join("&")), taken))
    }

    /// The mode to this kind of host. `require` with a root certificate verifies, as libpq has it.
    ///
    /// # Errors
    ///
    /// When a certificate of any name would do that any public authority signed: whoever has a domain has one of those.
    pub(crate) fn mode(&self, is_local: bool) -> Result<TlsMode> {
        let mode = match self.mode {
            Some(TlsMode::Require) if self.root.is_some() => TlsMode::VerifyCa,
            Some(mode) => mode,
            None if is_local && self.root.is_none() && self.certificate.is_none() => TlsMode::Disable,
            None => TlsMode::VerifyFull,
        };
        let is_of_the_machine = self.root.as_deref().is_none_or(|root| root == Path::new(SYSTEM));
        if mode == TlsMode::VerifyCa && is_of_the_machine {
            let text = "`sslmode=verify-ca` in the database URL needs the database's own authority by `sslrootcert`; use verify-full";
            return Err(Error::invalid(text));
        }
        Ok(mode)
    }

    /// What makes connections in this mode.
    ///
    /// # Errors
    ///
    /// When a certificate or the key cannot be read, or the machine trusts no authority at all.
    pub(crate) fn connector(&self, mode: TlsMode) -> Result<MakeRustlsConnect> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match mode {
            TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => {
                Arc::new(LenientVerifier { authorities: None, provider: provider.clone() })
            }
            TlsMode::VerifyCa => {
                let authorities = Some(self.authorities(provider.clone())?);
                Arc::new(LenientVerifier { authorities, provider: provider.clone() })
            }
            TlsMode::VerifyFull => self.authorities(provider.clone())?,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("sslcert", certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unreadable("sslkey", key).because(error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    Error::invalid("`sslcert` and `sslkey` of the database URL do not fit together")
                        .because(error)
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(MakeRustlsConnect::new(config))
    }

    /// Verifies against the authorities of `sslrootcert`, or of the machine.
    fn authorities(&self, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
        let mut roots = RootCertStore::empty();
        match &self.root {
            Some(path) if path != Path::new(SYSTEM) => {
                for certificate in certificates("sslrootcert", path)? {
                    roots.add(certificate).map_err(|error| unreadable("sslrootcert", path).because(error))?;
                }
            }
            _ => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|error| {
            let text = "this machine trusts no certificate authority; name the database's by `sslrootcert` in its URL";
            Error::invalid(text).because(error)
        })
    }
}

/// Refuses a URL whose user or password the driver would read in another way than the operator meant.
fn check_user(url: &str) -> Result<()> {
    // The driver takes everything before the first `@` for the user and the password, wherever that stands.
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.split_once('@') {
        Some((user, after)) if user.contains(['/', '?']) || after.contains('@') => Err(Error::invalid(
            "the database URL cannot be read: `@`, `/` and `?` in a user, password or parameter are written %40, %2F and %3F",
        )),
        _ => Ok(()),
    }
}

fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(parameter, path).because(error))?;
    if found.is_empty() {
        return Err(unreadable(parameter, path));
    }
    Ok(found)
}

fn unreadable(parameter: &str, path: &Path) -> Error {
    let text = format!("`{parameter}` of the database URL: {} cannot be read as PEM", path.display());
    Error::invalid(text)
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_out_of_a_url() {
        // URL, what is left of it, mode to another host, mode to this machine
        let rows = [
            ("postgres://u@h/x", "postgres://u@h/x", TlsMode::VerifyFull, TlsMode::Disable),
            ("postgres://u@h/x?sslmode=disable", "postgres://u@h/x", TlsMode::Disable, TlsMode::Disable),
            ("postgres://u@h/x?sslmode=allow", "postgres://u@h/x", TlsMode::Prefer, TlsMode::Prefer),
            ("postgres://u@h/x?sslmode=prefer&a=b", "postgres://u@h/x?a=b", TlsMode::Prefer, TlsMode::Prefer),
            (
                "postgres://u@h/x?a=b&sslmode=require&c=d",
                "postgres://u@h/x?a=b&c=d",
                TlsMode::Require,
                TlsMode::Require,
            ),
            (
                "postgres://u@h/x?sslmode=require&sslrootcert=r",
                "postgres://u@h/x",
                TlsMode::VerifyCa,
                TlsMode::VerifyCa,
            ),
            (
                "postgres://u@h/x?ssl%6Dode=verify%2Dca&sslrootcert=r",
                "postgres://u@h/x",
                TlsMode::VerifyCa,
                TlsMode::VerifyCa,
            ),
            (
                "postgres://u@h/x?sslmode=verify-full",
                "postgres://u@h/x",
                TlsMode::VerifyFull,
                TlsMode::VerifyFull,
            ),
            (
                "postgres://u@h/x?sslrootcert=%2Fa%20b",
                "postgres://u@h/x",
                TlsMode::VerifyFull,
                TlsMode::VerifyFull,
            ),
        ];
        for (url, left, remote, local) in rows {
            let (rest, tls) = TlsParameters::take(url).unwrap();
            let modes = (tls.mode(false).unwrap(), tls.mode(true).unwrap());
            assert_eq!((rest.as_str(), modes), (left, (remote, local)), "{url}");
        }
        let (_, tls) =
            TlsParameters::take("postgres://u@h/x?sslrootcert=%2Fa%20b&sslcert=c&sslkey=k").unwrap();
        assert_eq!(tls.root.as_deref(), Some(Path::new("/a b")));
        for parameters in [
            "sslmode=verify-ca",
            "sslmode=verify-ca&sslrootcert=system",
            "sslmode=require&sslrootcert=system",
        ] {
            let (_, tls) = TlsParameters::take(&format!("postgres://h/x?{parameters}")).unwrap();
            assert!(tls.mode(false).is_err() && tls.mode(true).is_err(), "{parameters}");
        }
        for url in [
            "postgres://h/x?sslmode=yes",
            "postgres://h/x?sslmode=",
            "postgres://h/x?sslcert=c",
            "postgres://h/x?sslkey=k",
        ] {
            assert!(TlsParameters::take(url).is_err(), "{url}");
        }
    }
}
