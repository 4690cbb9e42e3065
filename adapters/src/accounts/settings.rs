//! What can be set of accounts.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use fhir_access::{AccountOptions, PasswordOptions};
use fhir_app::{ModuleSetting, ModuleSettings, Result, SettingKind};
use fhir_mail::Mailer;

const KEY_DIR: &str = "accounts.key_dir";
const ISSUER: &str = "accounts.issuer";
const TOKEN_LIFETIME: &str = "accounts.token_lifetime_ms";
const SESSION_LIFETIME: &str = "accounts.session_lifetime_ms";
const SHARED_IDLE: &str = "accounts.shared_idle_max_ms";
pub(super) const VERIFY_EMAIL: &str = "accounts.verify_email";
pub(super) const REGISTRATION: &str = "accounts.registration";
const BREACHED: &str = "accounts.breached_passwords";
const PASSWORD_MEMORY: &str = "accounts.password_memory_kib";
const PASSWORD_PARALLEL: &str = "accounts.password_parallel_max";
const MAIL_URL: &str = "accounts.mail_url";
const MAIL_FOLDER: &str = "accounts.mail_folder";
const MAIL_FROM: &str = "accounts.mail_from";

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

pub(super) const SETTINGS: &[ModuleSetting] = &[
    ModuleSetting::new(
        KEY_DIR,
        SettingKind::Text,
        "",
        "Directory of the keys that sign tokens and seal secrets, made at the first start; all servers of a database have the same. \
         Unset: `keys` in `data_dir`. Keep a copy where backups are kept, apart from them: what is sealed cannot be opened without.",
    ),
    ModuleSetting::new(
        ISSUER,
        SettingKind::Text,
        "",
        "Who gives tokens, and for whom, as `iss` and `aud`. Unset: `base_url`, else `cari`.",
    ),
    ModuleSetting::new(
        TOKEN_LIFETIME,
        SettingKind::Milliseconds(MINUTE, 60 * MINUTE),
        "900000",
        "How long an access token is good for.",
    ),
    ModuleSetting::new(
        SESSION_LIFETIME,
        SettingKind::Milliseconds(60 * MINUTE, 365 * DAY),
        "2592000000",
        "How long a sign-in can be refreshed.",
    ),
    ModuleSetting::new(
        SHARED_IDLE,
        SettingKind::Milliseconds(MINUTE, DAY),
        "600000",
        "After so long without refreshing a sign-in on a shared computer (`shared_device`) ends.",
    ),
    ModuleSetting::new(
        VERIFY_EMAIL,
        SettingKind::Boolean,
        "true",
        "Whether an e-mail address counts only when its owner has followed the link that was sent there: before, it does not sign in, and \
         gets no membership that it was invited to.",
    ),
    ModuleSetting::new(
        REGISTRATION,
        SettingKind::Word(&["open", "off"]),
        "open",
        "`open`: doctors and patients of no organisation make accounts themselves, which see what is about themselves. `off`: \
         administrators make accounts.",
    ),
    ModuleSetting::new(
        BREACHED,
        SettingKind::Text,
        "",
        "A file of breached passwords that are refused beside the common ones that the program knows: lines `SHA1:count` in order, as \
         Have I Been Pwned offers them.",
    ),
    ModuleSetting::new(
        PASSWORD_MEMORY,
        SettingKind::Number(8192, 1_048_576),
        "19456",
        "Memory in KiB that hashing a password takes. Passwords are hashed anew, as it is then, when their users sign in.",
    ),
    ModuleSetting::new(
        PASSWORD_PARALLEL,
        SettingKind::Number(0, 256),
        "0",
        "Passwords that are hashed at the same time; others wait. 0: half as many as the machine has cores.",
    ),
    ModuleSetting::new(
        MAIL_URL,
        SettingKind::Secret,
        "",
        "How mail is sent: `smtps://user:password@mail.example.org`, `smtp://..?tls=required` with STARTTLS. Mail that cannot go out waits, \
         and is tried again.",
    ),
    ModuleSetting::new(
        MAIL_FOLDER,
        SettingKind::Text,
        "",
        "A directory that mail is put into instead, a file each: for tests, and where something else sends it.",
    ),
    ModuleSetting::new(
        MAIL_FROM,
        SettingKind::Text,
        "",
        "The sender of mail: `Cari <no-reply@example.org>`. Unset: mail is not sent.",
    ),
];

/// How accounts behave, by the settings.
pub fn options(settings: &ModuleSettings, base_url: Option<&str>) -> AccountOptions {
    let issuer = settings.text(ISSUER).or(base_url).unwrap_or("cari").to_owned();
    let cores = available_parallelism().map_or(1, usize::from);
    let parallel = usize::try_from(settings.number(PASSWORD_PARALLEL)).unwrap_or(0);
    AccountOptions {
        issuer,
        token_lifetime: settings.milliseconds(TOKEN_LIFETIME),
        session_lifetime: settings.milliseconds(SESSION_LIFETIME),
        shared_idle_max: settings.milliseconds(SHARED_IDLE),
        verify_email: settings.is_true(VERIFY_EMAIL),
        passwords: PasswordOptions {
            memory_kib: u32::try_from(settings.number(PASSWORD_MEMORY)).unwrap_or(u32::MAX),
            // Who signs in must not keep all others waiting.
            parallel_max: if parallel == 0 { (cores / 2).max(1) } else { parallel },
            breached: settings.text(BREACHED).map(PathBuf::from),
            ..PasswordOptions::default()
        },
    }
}

/// Where keys are kept.
pub fn key_directory(settings: &ModuleSettings, data_dir: &Path) -> PathBuf {
    settings.text(KEY_DIR).map_or_else(|| data_dir.join("keys"), PathBuf::from)
}

/// How mail is sent.
///
/// # Errors
///
/// When the url or the sender cannot be read.
pub fn mailer(settings: &ModuleSettings) -> Result<Mailer> {
    let Some(from) = settings.text(MAIL_FROM) else { return Ok(Mailer::none()) };
    match (settings.text(MAIL_FOLDER), settings.secret(MAIL_URL)) {
        (Some(folder), _) => Mailer::folder(folder, from),
        (None, Some(url)) => Mailer::smtp(url.expose(), from),
        (None, None) => Ok(Mailer::none()),
    }
}
