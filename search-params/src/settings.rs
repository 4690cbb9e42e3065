//! The settings that index entries depend on.

use fhir_model::date::Zone;
use serde::{Deserialize, Serialize};

use crate::bases::Bases;

/// What is found in a resource depends on these besides the resource. They are a value that is handed on with what is
/// indexed or asked, not the process's own: a tenant may have others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSettings {
    /// The urls the server is known by: absolute references below them are local.
    pub bases: Bases,
    /// The zone that dates and times are meant in which name none.
    pub zone: Zone,
    /// Whether the case of codes and identifiers does not matter; that of tokens that are texts never does.
    pub fold_codes: bool,
    /// Whether each resource is found by all that it refers to, so that nothing is deleted that is referred to.
    pub references: bool,
}

/// The settings as they are kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// In their order, as that does not matter.
    bases: Vec<String>,
    time_zone: String,
    /// Of the zone's offsets: they are corrected now and then.
    time_zone_version: String,
    fold_codes: bool,
    /// An index without them was made before there were any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    references: bool,
}

impl IndexSettings {
    /// Text that is the same exactly where the entries are: what an index was made by is kept so.
    pub fn to_text(&self) -> String {
        let mut bases = self.bases.urls();
        bases.sort_unstable();
        let kept = Kept {
            bases,
            time_zone: self.zone.name().to_owned(),
            time_zone_version: self.zone.version().to_owned(),
            fold_codes: self.fold_codes,
            references: self.references,
        };
        serde_json::to_string(&kept).unwrap_or_default()
    }

    /// The settings of a text; `None` when this build does not know them. The offsets of its zone are those of today.
    pub fn from_text(text: &str) -> Option<IndexSettings> {
        let kept: Kept = serde_json::from_str(text).ok()?;
        Some(IndexSettings {
            bases: Bases::new(kept.bases),
            zone: Zone::parse(&kept.time_zone)?,
            fold_codes: kept.fold_codes,
            references: kept.references,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_kept() {
        let all = IndexSettings {
            bases: Bases::new(["https://b.org/fhir/R4", "http://A.org:8080/fhir"]),
            zone: Zone::parse("Africa/Nairobi").unwrap(),
            fold_codes: true,
            references: true,
        };
        for settings in [IndexSettings::default(), all] {
            let again = IndexSettings::from_text(&settings.to_text()).unwrap();
            assert_eq!(again.to_text(), settings.to_text());
            assert_eq!(again.references, settings.references);
            assert_eq!(
                settings.to_text().contains("references"),
                settings.references,
                "an index made before them"
            );
            assert_eq!((again.zone, again.fold_codes), (settings.zone, settings.fold_codes));
        }
        assert_eq!(IndexSettings::from_text("{}"), None);
    }

    #[test]
    fn the_same_bases_in_any_order_are_the_same_settings() {
        let text =
            |urls: [&str; 2]| IndexSettings { bases: Bases::new(urls), ..Default::default() }.to_text();
        assert_eq!(text(["http://a/x", "http://b/x"]), text(["http://B/x", "http://a/x"]));
        assert_ne!(text(["http://a/x", "http://b/x"]), text(["http://a/x", "http://b/X"]));
    }
}
