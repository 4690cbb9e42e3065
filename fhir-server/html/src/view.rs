//! What all parts of a page need to know.

use fhir_i18n::Texts;
use fhir_model::interaction::{Interaction, Level, Method};

use crate::links::Links;
use crate::site::{Site, Visit};

/// A request of a browser, understood.
pub(crate) struct View<'a> {
    pub(crate) site: &'a Site<'a>,
    pub(crate) visit: &'a Visit<'a>,
    pub(crate) texts: Texts,
    pub(crate) links: Links<'a>,
    /// The interaction that was asked for; `None` when the path has no meaning.
    pub(crate) asked: Option<Interaction>,
}

impl<'a> View<'a> {
    pub(crate) fn new(site: &'a Site<'a>, visit: &'a Visit<'a>) -> View<'a> {
        let method = if visit.is_get { Method::Get } else { Method::Post };
        View {
            site,
            visit,
            texts: Texts::new(visit.language),
            links: Links {
                root: visit.root,
                base: visit.base,
                bases: site.bases,
                definitions: site.definitions,
            },
            asked: Interaction::parse(method, visit.path, site.definitions).ok(),
        }
    }

    pub(crate) fn say(&self, key: &str) -> String {
        self.texts.say(key)
    }

    /// The resource type that is searched.
    pub(crate) fn searched(&self) -> Option<&str> {
        match &self.asked {
            Some(Interaction::SearchType(name)) => Some(name),
            Some(Interaction::SearchCompartment(_, name)) if &**name != "*" => Some(name),
            _ => None,
        }
    }

    /// The way from the base to here: what each step is called and where it is.
    pub(crate) fn trail(&self) -> Vec<(String, String)> {
        let root = self.visit.root;
        let mut trail = vec![(self.say("nav-base"), format!("{root}/"))];
        let mut step = |name: &str, path: &str| trail.push((name.to_owned(), format!("{root}/{path}")));
        let history = self.say("nav-history");
        match &self.asked {
            Some(Interaction::Capabilities) => step(&self.say("nav-metadata"), "metadata"),
            Some(Interaction::SearchType(name) | Interaction::Create(name)) => step(name, name),
            Some(Interaction::HistorySystem) => step(&history, "_history"),
            Some(Interaction::HistoryType(name)) => {
                step(name, name);
                step(&history, &format!("{name}/_history"));
            }
            Some(Interaction::Operation(level, code)) => {
                match level {
                    Level::System => {}
                    Level::Type(name) => step(name, name),
                    Level::Instance(key) => {
                        step(&key.type_name, &key.type_name);
                        step(&key.id, &key.to_string());
                    }
                }
                step(&format!("${code}"), self.visit.path);
            }
            Some(
                Interaction::Read(key)
                | Interaction::Vread(key, _)
                | Interaction::HistoryInstance(key)
                | Interaction::SearchCompartment(key, _),
            ) => {
                step(&key.type_name, &key.type_name);
                step(&key.id, &key.to_string());
                match &self.asked {
                    Some(Interaction::Vread(_, version)) => {
                        step(&history, &format!("{key}/_history"));
                        step(&version.to_string(), &format!("{key}/_history/{version}"));
                    }
                    Some(Interaction::HistoryInstance(_)) => step(&history, &format!("{key}/_history")),
                    Some(Interaction::SearchCompartment(_, inner)) => step(inner, &format!("{key}/{inner}")),
                    _ => {}
                }
            }
            _ => {}
        }
        trail
    }

    /// The url of this page in another format.
    pub(crate) fn in_format(&self, format: &str) -> String {
        let is_format = |piece: &&str| piece.split('=').next() == Some("_format");
        let mut url = format!("{}/{}?", self.visit.root, self.visit.path);
        for piece in self.visit.query.split('&').filter(|piece| !piece.is_empty() && !is_format(piece)) {
            url.push_str(piece);
            url.push('&');
        }
        url.push_str("_format=");
        url.push_str(format);
        url
    }
}
