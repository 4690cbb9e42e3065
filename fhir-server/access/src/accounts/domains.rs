//! Domains of organisations: claimed by several, proved by one.
//!
//! Looking at the DNS is the caller's: no connection to the database is held meanwhile.

use fhir_credentials::random_secret;
use fhir_database::failure::{classify, is_duplicate};
use fhir_model::{Error, Kind, Result};
use tokio_postgres::Row;
use uuid::Uuid;

use super::service::Accounts;
use super::users::found;

const LIST: &str = "select d.id, d.name, d.token, d.created_at, d.verified_at from access_domain d \
     where d.organization_id = $1 order by d.name";

const ONE: &str = "select d.id, d.name, d.token, d.created_at, d.verified_at from access_domain d \
     where d.organization_id = $1 and d.id = $2";

/// Not where another organisation has proved that the domain is its own.
const ADD: &str = "insert into access_domain (id, organization_id, name, token, created_at) \
     select $1::uuid, $2::uuid, $3::text, $4::text, $5::int8 where not exists \
       (select from access_domain d where d.name = $3::text and d.verified_at is not null and d.organization_id <> $2::uuid)";

const REMOVE: &str = "delete from access_domain where organization_id = $1 and id = $2";

/// The index of proved domains refuses the second organisation, whatever was read before.
const VERIFY: &str = "update access_domain set verified_at = coalesce(verified_at, $3) where organization_id = $1 and id = $2 \
     returning id, name, token, created_at, verified_at";

/// A domain that an organisation says is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its number.
    pub id: Uuid,
    /// `clinic.example.org`
    pub domain: String,
    /// What its TXT record has to say.
    pub token: String,
    /// When it was claimed, in microseconds since 1970.
    pub created_at: i64,
    /// When it was proved; `None`: not yet.
    pub verified_at: Option<i64>,
}

impl Domain {
    fn new(row: &Row) -> Domain {
        Domain {
            id: row.get(0),
            domain: row.get(1),
            token: row.get(2),
            created_at: row.get(3),
            verified_at: row.get(4),
        }
    }

    /// The name of the TXT record that proves it.
    pub fn record_name(&self) -> String {
        format!("{RECORD}.{}", self.domain)
    }

    /// What that record says.
    pub fn record_value(&self) -> String {
        format!("cari-verification={}", self.token)
    }
}

/// The label of the record, below the domain.
const RECORD: &str = "_cari";

impl Accounts {
    /// The domains of an organisation, by name.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn domains(&self, organization: Uuid) -> Result<Vec<Domain>> {
        let rows = self.client().await?.query(LIST, &[&organization]).await.map_err(classify)?;
        Ok(rows.iter().map(Domain::new).collect())
    }

    /// A domain of an organisation.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn domain(&self, organization: Uuid, id: Uuid) -> Result<Domain> {
        let row = self.client().await?.query_opt(ONE, &[&organization, &id]).await.map_err(classify)?;
        row.as_ref().map(Domain::new).ok_or_else(unknown_domain)
    }

    /// Claims a domain for an organisation. It leads nowhere before it is [verified](Accounts::verify_domain).
    ///
    /// # Errors
    ///
    /// `Rule` for what is no domain, `Conflict` for one that the organisation has claimed already, or another has proved.
    pub async fn add_domain(&self, organization: Uuid, domain: &str) -> Result<Domain> {
        let domain = read_domain(domain)?;
        let (id, token, now) = (Uuid::new_v4(), random_secret(), self.now());
        let client = self.client().await?;
        let added = client.execute(ADD, &[&id, &organization, &domain, &token, &now]).await;
        match added {
            Ok(0) => Err(of_another()),
            Ok(_) => Ok(Domain { id, domain, token, created_at: now, verified_at: None }),
            Err(error) if is_duplicate(&error) => {
                let text = "the organisation has this domain already";
                Err(Error::new(Kind::Conflict, text).at("domain"))
            }
            Err(error) => Err(classify(error)),
        }
    }

    /// Removes a domain of an organisation: it leads to it no longer.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub async fn remove_domain(&self, organization: Uuid, id: Uuid) -> Result<()> {
        let removed = self.client().await?.execute(REMOVE, &[&organization, &id]).await.map_err(classify)?;
        found(removed, "this domain")
    }

    /// Notes that a domain's record says what it has to: it leads to the organisation from now on.
    ///
    /// # Errors
    ///
    /// `NotFound` for no such domain, `Conflict` when another organisation has proved it.
    pub async fn verify_domain(&self, organization: Uuid, id: Uuid) -> Result<Domain> {
        let client = self.client().await?;
        match client.query_opt(VERIFY, &[&organization, &id, &self.now()]).await {
            Ok(row) => row.as_ref().map(Domain::new).ok_or_else(unknown_domain),
            Err(error) if is_duplicate(&error) => Err(of_another()),
            Err(error) => Err(classify(error)),
        }
    }
}

fn of_another() -> Error {
    Error::new(Kind::Conflict, "this domain is another organisation's").at("domain")
}

/// `NotFound` for a domain that the organisation does not have.
pub fn unknown_domain() -> Error {
    Error::new(Kind::NotFound, "this domain is not known here")
}

/// Longest domain: with the label of the record before it, it is a name of the DNS still.
const BYTES_MAX: usize = 253 - RECORD.len() - 1;

/// A domain in the one form in which it is kept.
fn read_domain(text: &str) -> Result<String> {
    let text = text.trim();
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(is_part)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The last label of an address is a number.
    let is_name = |last: &str| last.starts_with(|c: char| c.is_ascii_lowercase());
    let is_domain = domain.len() <= BYTES_MAX
        && domain.split('.').all(is_label)
        && domain.rsplit_once('.').is_some_and(|(_, last)| is_name(last));
    match is_domain {
        true => Ok(domain),
        false => {
            let text = "a domain is written as in the DNS: clinic.example.org";
            Err(Error::new(Kind::Rule, text).at("domain"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_as_they_are_written() {
        let long = format!("{}.org", "a".repeat(64));
        let longer = format!("{}org", "abcdefgh.".repeat(28));
        let rows = [
            ("clinic.example.org", Some("clinic.example.org")),
            (" Clinic.Example.ORG. ", Some("clinic.example.org")),
            ("xn--mnchen-3ya.de", Some("xn--mnchen-3ya.de")),
            ("localhost", None),
            ("10.0.0.1", None),
            ("clinic..org", None),
            (".org", None),
            ("-a.org", None),
            ("a-.org", None),
            ("_cari.example.org", None),
            ("m\u{fc}nchen.de", None),
            ("https://example.org", None),
            ("example.org/x", None),
            ("", None),
            (&long, None),
            (&longer, None),
        ];
        for (text, wanted) in rows {
            assert_eq!(read_domain(text).ok().as_deref(), wanted, "{text:?}");
        }
    }
}
