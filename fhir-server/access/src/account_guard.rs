//! The guard of a server with accounts.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use fhir_model::interaction::{Interaction, Level};
use fhir_model::{Error, Kind, Result};
use fhir_search::TenantId;
use fhir_store::{Rules, Scope, Store};

use crate::accounts::Accounts;
use crate::guard::{AccessRequest, Authenticated, Credentials, Guard};
use crate::permission::Permission;
use crate::principal::{Principal, SignedIn, forbidden, unauthorized};
use crate::resource_rules::rules;
use crate::rights::{Rights, not_a_member};

/// Decides by who signed in.
#[derive(Debug)]
pub struct AccountGuard {
    store: Arc<Store>,
    accounts: Arc<Accounts>,
    rules: RulesCache,
}

/// Rules by the state of somebody's rights, which are the same object as long as nobody changes them.
#[derive(Default)]
struct RulesCache(RwLock<HashMap<(usize, TenantId), KeptRules>>);

/// With the rights that they were made of.
type KeptRules = (Arc<Rights>, Rules);

impl std::fmt::Debug for RulesCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RulesCache")
    }
}

/// What the header `X-Organization-ID` says for what is of no organisation: one's own record there.
const PLATFORM: &str = "platform";

/// Most rules that are kept.
const RULES_MAX: usize = 4096;

impl AccountGuard {
    /// The guard of a store's accounts.
    pub fn new(store: Arc<Store>, accounts: Arc<Accounts>) -> AccountGuard {
        AccountGuard { store, accounts, rules: RulesCache::default() }
    }

    /// What somebody may see and change in a tenant.
    fn rules(&self, user: &SignedIn, tenant: TenantId) -> Result<Rules> {
        // Kept with the rules, the rights stay where they are: no others have this address.
        let key = (Arc::as_ptr(&user.rights) as usize, tenant);
        let kept = self
            .rules
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .map(|(_, rules)| rules.clone());
        if let Some(rules) = kept {
            return Ok(rules);
        }
        let made = rules(&user.rights, tenant, &self.store)?;
        let mut all = self.rules.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= RULES_MAX {
            all.clear();
        }
        all.insert(key, (user.rights.clone(), made.clone()));
        Ok(made)
    }

    /// The organisation of the header `X-Organization-ID`, by its number or its name in urls.
    async fn named(&self, organization: Option<&str>) -> Result<Option<TenantId>> {
        let Some(text) = organization.filter(|text| !text.is_empty()) else { return Ok(None) };
        if text == PLATFORM {
            return Ok(Some(TenantId::PLATFORM));
        }
        let found = self.accounts.organization_named(text).await?;
        // One that there is not is refused in the words for one that is another's.
        let found = found.filter(|found| found.is_active).ok_or_else(not_a_member)?;
        self.store.learn_tenant(found.tenant, &found.slug);
        Ok(Some(found.tenant))
    }
}

#[async_trait]
impl Guard for AccountGuard {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Authenticated> {
        let token = match credentials.authorization {
            Some(header) => Some(bearer(header).ok_or_else(unauthorized)?),
            None => credentials.cookie,
        };
        let Some(token) = token else {
            let tenant = credentials.base.unwrap_or(TenantId::DEFAULT);
            return Ok(Authenticated { principal: Principal::Anonymous, tenant });
        };
        let user = self.accounts.authenticate(token).await?;
        let tenant = match (credentials.base, credentials.organization) {
            (base, None) => user.rights.tenant(base, None)?,
            (base, header) => user.rights.tenant(base, self.named(header).await?)?,
        };
        Ok(Authenticated { principal: Principal::User(user), tenant })
    }

    async fn scope(&self, access: AccessRequest<'_>) -> Result<Scope> {
        let user = match access.principal {
            Principal::User(user) => user,
            Principal::System(_) => return Ok(Scope::everything_of(access.tenant)),
            // The statement reads no resource, and clients need it to learn how to get in.
            Principal::Anonymous if *access.interaction == Interaction::Capabilities => {
                return Ok(Scope::nothing());
            }
            Principal::Anonymous => {
                let text = "this server asks for a token: Authorization: Bearer <token>";
                return Err(Error::new(Kind::Unauthorized, text));
            }
        };
        let rules = self.rules(user, access.tenant)?;
        check(access.interaction, &rules, user, access.tenant)?;
        Ok(Scope::new(access.tenant, vec![(access.tenant, rules)]))
    }

    fn may_call(&self, principal: &Principal) -> bool {
        !matches!(principal, Principal::Anonymous)
    }

    fn holds(&self, principal: &Principal, permission: Permission) -> bool {
        match principal {
            Principal::User(user) => user.rights.holds(permission),
            Principal::System(_) => true,
            Principal::Anonymous => false,
        }
    }
}

/// The token of a header `Authorization: Bearer ..`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Refuses at once what no row would allow: an answer without any would look like there were none.
fn check(interaction: &Interaction, rules: &Rules, user: &SignedIn, tenant: TenantId) -> Result<()> {
    if let Interaction::Operation(_, code) = interaction {
        check_operation(code, user, tenant)?;
    }
    let Some((type_name, writes)) = about(interaction) else { return Ok(()) };
    let removes = matches!(interaction, Interaction::Delete(_) | Interaction::ConditionalDelete(_));
    if let Some((_, needed)) = REMOVALS.iter().find(|(removed, _)| removes && *removed == type_name)
        && !user.rights.permissions_in(tenant).has(*needed)
    {
        return Err(forbidden(*needed));
    }
    let allowed = match rules {
        Rules::All => true,
        Rules::None => false,
        Rules::ByType(types) => {
            let rule = types.rule(type_name);
            if writes { rule.write } else { rule.read }
        }
    };
    match allowed {
        true => Ok(()),
        false => {
            let done = if writes { "written" } else { "read" };
            Err(Error::new(Kind::Forbidden, format!("{type_name} may not be {done} with your roles here")))
        }
    }
}

/// Types whose resources not everybody removes who writes them.
const REMOVALS: &[(&str, Permission)] =
    &[("Patient", Permission::DeletePatients), ("Practitioner", Permission::DeleteSpecialists)];

/// Operations, and what they need beside what they read: one that is not here is for who looks after the server.
const OPERATIONS: &[(&str, Option<Permission>)] = &[("everything", None)];

fn check_operation(code: &str, user: &SignedIn, tenant: TenantId) -> Result<()> {
    let known = OPERATIONS.iter().find(|(known, _)| *known == code);
    let needed = known.map_or(Some(Permission::Administer), |(_, permission)| *permission);
    match needed.filter(|permission| !user.rights.permissions_in(tenant).has(*permission)) {
        Some(permission) => Err(forbidden(permission)),
        None => Ok(()),
    }
}

/// The type that an interaction is about, and whether it writes. Returns `None` when it is about several.
fn about(interaction: &Interaction) -> Option<(&str, bool)> {
    match interaction {
        Interaction::Capabilities
        | Interaction::Bundle
        | Interaction::SearchSystem
        | Interaction::HistorySystem
        | Interaction::Operation(Level::System, _) => None,
        Interaction::Read(key) | Interaction::Vread(key, _) | Interaction::HistoryInstance(key) => {
            Some((&key.type_name, false))
        }
        Interaction::Operation(Level::Instance(key), _) => Some((&key.type_name, false)),
        Interaction::SearchType(name) | Interaction::HistoryType(name) => Some((name, false)),
        Interaction::Operation(Level::Type(name), _) => Some((name, false)),
        Interaction::SearchCompartment(_, name) => (**name != *"*").then_some((name, false)),
        Interaction::Update(key) | Interaction::Patch(key) | Interaction::Delete(key) => {
            Some((&key.type_name, true))
        }
        Interaction::Create(name)
        | Interaction::ConditionalUpdate(name)
        | Interaction::ConditionalPatch(name)
        | Interaction::ConditionalDelete(name) => Some((name, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_tokens_are_read() {
        let rows = [
            ("Bearer t", Some("t")),
            ("bearer   t ", Some("t")),
            ("BEARER t", Some("t")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic t", None),
            ("t", None),
            ("", None),
        ];
        for (header, wanted) in rows {
            assert_eq!(bearer(header), wanted, "{header:?}");
        }
    }
}
