//! What this server is called: by which names it answers, and which urls are its own.
//!
//! A web page that a browser shows may have its own name point at this machine (DNS rebinding), and so reach a server that
//! listens here alone. The browser then says the page's name in `Host`: <https://www.rfc-editor.org/rfc/rfc9110#section-7.4>

use std::net::{IpAddr, SocketAddr};

use fhir_model::interaction::MOUNTS;
use fhir_model::{Error, Kind, Result};
use fhir_search::Bases;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Uri, Version};

/// The names of one server.
#[derive(Debug, Clone)]
pub struct Hosts {
    base_url: Option<String>,
    /// Host names that are answered, without ports; `None` when every name is.
    answered: Option<Vec<String>>,
    bases: Bases,
}

impl Hosts {
    /// Of a server that listens at `address`, is known as `base_url` (`https://example.org/ehr`, when it is not the address
    /// that clients call), and as `hosts` (`ehr:8080`).
    pub fn new(address: SocketAddr, base_url: Option<&str>, hosts: &[String]) -> Hosts {
        let base_url = base_url.map(|url| url.trim_end_matches('/').to_owned());
        let mut origins: Vec<String> = base_url.iter().cloned().collect();
        let port = address.port();
        // Processes that listen at different addresses are one server, and index alike, when they have a common base url.
        let mut own = |name: &str| {
            if base_url.is_some() {
                return;
            }
            origins.push(format!("http://{name}:{port}"));
            if port == 80 {
                origins.push(format!("http://{name}"));
            }
        };
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            HERE.into_iter().for_each(&mut own);
        }
        if !address.ip().is_unspecified() {
            own(&match address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            });
        }
        hosts.iter().filter(|host| without_port(host) == host.as_str()).for_each(|host| own(host));
        origins.extend(hosts.iter().flat_map(|host| [format!("http://{host}"), format!("https://{host}")]));
        let urls = origins.iter().flat_map(|origin| MOUNTS.map(|mount| format!("{origin}{mount}")));
        let answered = address.ip().is_loopback().then(|| {
            let public = base_url.as_deref().and_then(|url| url.split("://").nth(1)?.split('/').next());
            let named = hosts.iter().map(String::as_str).chain(public);
            named.map(|host| without_port(host).to_owned()).collect()
        });
        Hosts { bases: Bases::new(urls), base_url, answered }
    }

    /// The base urls of this server, which are settings: no request adds to them.
    pub fn bases(&self) -> &Bases {
        &self.bases
    }

    /// 400 when it is not said, or not clearly, which server the request is meant for
    /// (<https://www.rfc-editor.org/rfc/rfc9112#section-3.2>); 421 when it is another than this.
    pub(crate) fn check(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<()> {
        let refused = |text: &str| Err(Error::invalid(text).at("http.host"));
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (_, Some(_)) => return refused("the header Host is sent once"),
            // HTTP/2 says it in `:authority`; HTTP/1.0 need not say it at all.
            (None, _) if version == Version::HTTP_11 => return refused("HTTP/1.1 needs the header Host"),
            (Some(host), _) if !host.to_str().is_ok_and(is_host) => {
                return refused("the header Host is a name or address, with a port or without");
            }
            _ => {}
        }
        let asked = asked(uri, headers);
        if asked.is_some_and(|host| !is_host(host)) {
            return refused("the URL names its server by a name or address, with a port or without");
        }
        let Some(answered) = &self.answered else { return Ok(()) };
        // Without a name it is no browser.
        let Some(host) = asked else { return Ok(()) };
        let name = without_port(host);
        let is_here = name.eq_ignore_ascii_case("localhost") || is_loopback(name);
        if is_here || answered.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let text = "this server listens on its own machine alone and does not answer to the name it was called by; the \
                    setting `hosts` has the names it answers to";
        Err(Error::new(Kind::Misdirected, text).at("http.host"))
    }

    /// True when the page that asks is of this server: its origin is that of the public url, or names the host that is
    /// asked, whose scheme a proxy may have changed.
    pub(crate) fn is_own_origin(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(origin) = origin(headers).and_then(|origin| origin.to_str().ok()) else {
            return false;
        };
        let public = self.base_url.as_deref().and_then(origin_of);
        let host = origin.split_once("://").map(|(_, host)| host);
        public.is_some_and(|public| public.eq_ignore_ascii_case(origin))
            || host
                .zip(asked(uri, headers))
                .is_some_and(|(host, asked)| !host.is_empty() && host.eq_ignore_ascii_case(asked))
    }

    /// The base url that the client knows this server by.
    pub(crate) fn base(&self, uri: &Uri, headers: &HeaderMap, mount: &str) -> String {
        if let Some(base) = &self.base_url {
            return format!("{base}{mount}");
        }
        // It is echoed in links, so it must look like a host.
        let host =
            asked(uri, headers).filter(|host| !host.is_empty() && is_host(host)).unwrap_or("localhost");
        let mut base = String::with_capacity(7 + host.len() + mount.len());
        base.push_str("http://");
        base.push_str(host);
        base.push_str(mount);
        base
    }
}

/// What a machine calls itself.
const HERE: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who the request is for. A url that names the server wins over the header, as HTTP says; bytes that are no text are
/// nobody's name.
fn asked<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let of_uri = uri.authority().map(|authority| authority.as_str());
    of_uri.or_else(|| headers.get(HOST).map(|host| host.to_str().unwrap_or("?")))
}

/// `https://example.org/ehr` as `https://example.org`.
fn origin_of(url: &str) -> Option<&str> {
    let path = url.find("://")? + 3;
    let end = url.get(path..)?.find('/').map_or(url.len(), |at| path + at);
    url.get(..end)
}

/// True for what can name a server: no user, no path, nothing that would mean more in a link.
fn is_host(host: &str) -> bool {
    host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

/// `ehr:8080` as `ehr`, `[::1]:8080` as `[::1]`.
fn without_port(host: &str) -> &str {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) {
        name
    } else {
        host
    }
}

/// True for addresses of this machine: only names can be pointed elsewhere.
fn is_loopback(name: &str) -> bool {
    let ip = name.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(name);
    ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The origin that a browser says, which it says once.
pub(crate) fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn names(address: &str, base_url: Option<&str>) -> Hosts {
        Hosts::new(address.parse().unwrap(), base_url, &["ehr.local".to_owned(), "ehr:9000".to_owned()])
    }

    fn status(names: &Hosts, url: &str, hosts: &[&'static str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        let version = if hosts.is_empty() { Version::HTTP_10 } else { Version::HTTP_11 };
        names.check(version, &url.parse().unwrap(), &headers).map_or_else(|e| e.kind.status(), |()| 200)
    }

    #[test]
    fn who_is_meant_is_said_once_and_clearly() {
        let names = names("0.0.0.0:8080", None);
        let rows: [(Version, &str, &[&str], u16); 12] = [
            (Version::HTTP_10, "/fhir", &[], 200),
            (Version::HTTP_11, "/fhir", &[], 400),
            (Version::HTTP_11, "http://ehr.org/fhir", &[], 400),
            (Version::HTTP_2, "http://ehr.org/fhir", &[], 200),
            (Version::HTTP_11, "/fhir", &["a", "a"], 400),
            (Version::HTTP_10, "/fhir", &["a", "a"], 400),
            (Version::HTTP_11, "/fhir", &["a b"], 400),
            (Version::HTTP_11, "/fhir", &["a/b"], 400),
            (Version::HTTP_11, "/fhir", &["user@a"], 400),
            (Version::HTTP_11, "/fhir", &["a,b"], 400),
            (Version::HTTP_11, "http://user:word@ehr.org/fhir", &["ehr.org"], 400),
            (Version::HTTP_11, "http://ehr.org/fhir", &["other.org"], 200),
        ];
        for (version, url, hosts, wanted) in rows {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_str(host).unwrap());
            }
            let found = names.check(version, &url.parse().unwrap(), &headers);
            assert_eq!(
                found.map_or_else(|e| e.kind.status(), |()| 200),
                wanted,
                "{version:?} {url} {hosts:?}"
            );
        }
    }

    #[test]
    fn a_server_of_this_machine_answers_to_its_names_alone() {
        let names = names("127.0.0.1:8080", Some("https://ehr.example.org:444/a"));
        for (host, wanted) in [
            ("localhost", 200),
            ("LocalHost:1234", 200),
            ("127.0.0.1:8080", 200),
            ("127.0.0.2", 200),
            ("[::1]:8080", 200),
            ("[::1]", 200),
            ("ehr.local:1", 200),
            ("EHR", 200),
            ("ehr.example.org", 200),
            ("evil.example.org", 421),
            ("localhost.evil.org", 421),
            ("127.0.0.1.evil.org:8080", 421),
            ("10.0.0.1", 421),
            ("localhost:evil.org", 421),
            ("", 421),
        ] {
            assert_eq!(status(&names, "/fhir", &[host]), wanted, "{host}");
        }
        assert_eq!(status(&names, "/fhir", &[]), 200);
        assert_eq!(status(&names, "/fhir", &["localhost", "evil.org"]), 400);
        // The url's name is the one that counts.
        assert_eq!(status(&names, "http://evil.org/fhir", &["localhost"]), 421);
    }

    #[test]
    fn a_server_on_the_network_answers_to_all_names() {
        for address in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080"] {
            assert_eq!(status(&names(address, None), "/fhir", &["whatever.org"]), 200, "{address}");
        }
    }

    #[test]
    fn every_name_and_mount_makes_a_base() {
        let names = names("127.0.0.1:8080", Some("https://ehr.example.org/a/"));
        for (url, wanted) in [
            ("https://ehr.example.org/a/fhir/R4", true),
            ("https://ehr.example.org/a/fhir", true),
            ("http://ehr.example.org/a/fhir", false),
            ("http://localhost:8080/fhir/R4", false),
            ("http://127.0.0.1:8080/fhir", false),
            ("http://localhost:8081/fhir", false),
            ("http://localhost/fhir", false),
            ("http://ehr.local/fhir", true),
            ("http://ehr.local:8080/fhir", false),
            ("https://ehr.local/fhir/R4", true),
            ("http://ehr:9000/fhir", true),
            ("http://ehr:9000:8080/fhir", false),
            ("http://ehr/fhir", false),
        ] {
            assert_eq!(names.bases().contains(url), wanted, "{url}");
        }
        let names = self::names("127.0.0.1:8080", None);
        for (url, wanted) in [
            ("http://localhost:8080/fhir/R4", true),
            ("http://127.0.0.1:8080/fhir", true),
            ("http://[::1]:8080/fhir", true),
            ("http://localhost:8081/fhir", false),
            ("http://ehr.local:8080/fhir", true),
            ("http://ehr.local/fhir", true),
        ] {
            assert_eq!(names.bases().contains(url), wanted, "{url}");
        }
        let names = Hosts::new("10.0.0.1:80".parse().unwrap(), None, &[]);
        for (url, wanted) in [
            ("http://10.0.0.1/fhir", true),
            ("http://10.0.0.1:80/fhir", true),
            ("http://localhost/fhir", false),
        ] {
            assert_eq!(names.bases().contains(url), wanted, "{url}");
        }
    }

    #[test]
    fn links_begin_with_what_the_client_called() {
        let base = |names: &Hosts, host: &'static str| {
            names.base(
                &Uri::from_static("/x"),
                &HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]),
                "/fhir",
            )
        };
        let named = names("0.0.0.0:80", Some("https://ehr.example.org/a/"));
        assert_eq!(base(&named, "other.org"), "https://ehr.example.org/a/fhir");
        let open = names("0.0.0.0:80", None);
        assert_eq!(base(&open, "other.org:81"), "http://other.org:81/fhir");
        assert_eq!(base(&open, "other.org/\"><x"), "http://localhost/fhir");
    }
}
