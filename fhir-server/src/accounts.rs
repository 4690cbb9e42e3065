//! `user` and `key`: what an operator does at a terminal.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use fhir_access::accounts::login_name::LoginName;
use fhir_access::accounts::users::{NewUser, User};
use fhir_access::role::Role;
use fhir_access::{Accounts, KeyDirectory};
use fhir_adapters::accounts::settings;
use fhir_config::{Auth, Config};

use crate::beside::Beside;
use crate::cli::{DatabaseArgs, KeyCommand, UserArgs, UserCommand};
use crate::settings::sources;
use crate::{logging, modules};

/// `user ...`
///
/// # Errors
///
/// When the database cannot be used, and those of what is asked for.
pub(crate) async fn user(command: UserCommand) -> Result<ExitCode> {
    let config = config(database(&command))?;
    logging::start(&config.log);
    let modules = modules::list()?;
    let beside = Beside::open(&config, &modules).await?;
    let accounts = beside.core.accounts.clone().context("there are no accounts")?;
    let done = perform(&accounts, command).await;
    drop(accounts);
    beside.close().await;
    print!("{}", done?);
    Ok(ExitCode::SUCCESS)
}

/// Settings of a server with accounts, whatever `auth` says: they are there all the same.
fn config(args: &DatabaseArgs) -> Result<Config> {
    let mut config = Config::load(sources(args, &modules::list()?))?;
    config.auth = Auth::Accounts;
    Ok(config)
}

fn database(command: &UserCommand) -> &DatabaseArgs {
    match command {
        UserCommand::List(args) => args,
        UserCommand::Add(args) => &args.user.database,
        UserCommand::Roles(args) => &args.user.database,
        UserCommand::Join(args) => &args.user.database,
        UserCommand::Code(args)
        | UserCommand::ResetMfa(args)
        | UserCommand::Suspend(args)
        | UserCommand::Activate(args) => &args.database,
    }
}

/// What is asked for, and what is to be said of it.
async fn perform(accounts: &Arc<Accounts>, command: UserCommand) -> Result<String> {
    match command {
        UserCommand::List(_) => list(accounts).await,
        UserCommand::Add(args) => {
            let login = LoginName::parse(&args.user.user)?;
            let roles =
                args.role.iter().map(|role| Role::of_platform(role)).collect::<Result<Vec<_>, _>>()?;
            let user = NewUser {
                id: uuid::Uuid::new_v4(),
                first_name: args.first_name,
                last_name: args.last_name,
                // Who runs the server knows whose it is.
                logins: vec![(login, true)],
                roles: roles.iter().map(|role| role.name).collect(),
                fhir_user: None,
            };
            accounts.create_user(&user, None).await?;
            Ok(code_line(&accounts.print_password_code(user.id).await?))
        }
        UserCommand::Roles(args) => {
            let roles: Vec<&str> = args.roles.iter().map(String::as_str).collect();
            accounts.set_roles(find(accounts, &args.user).await?.id, &roles).await?;
            Ok(String::new())
        }
        UserCommand::Join(args) => {
            let unknown = || anyhow!("there is no organisation `{}`", args.organization);
            let organization = accounts.organization_named(&args.organization).await?.ok_or_else(unknown)?;
            let roles: Vec<&str> = args.roles.iter().map(String::as_str).collect();
            let user = find(accounts, &args.user).await?.id;
            accounts.set_member_user(organization.id, user, &roles).await?;
            Ok(String::new())
        }
        UserCommand::Code(args) => {
            let user = find(accounts, &args).await?.id;
            Ok(code_line(&accounts.print_password_code(user).await?))
        }
        UserCommand::ResetMfa(args) => {
            accounts.reset_second_factor(find(accounts, &args).await?.id).await?;
            Ok(String::new())
        }
        UserCommand::Suspend(args) => {
            accounts.set_active(find(accounts, &args).await?.id, false).await?;
            Ok(String::new())
        }
        UserCommand::Activate(args) => {
            accounts.set_active(find(accounts, &args).await?.id, true).await?;
            Ok(String::new())
        }
    }
}

fn code_line(code: &str) -> String {
    format!(
        "one-time code, good for a day: {code}\nset a password with it: POST /api/auth/password/reset {{\"token\":\"{code}\",\"password\":\"...\"}}\n"
    )
}

async fn find(accounts: &Accounts, args: &UserArgs) -> Result<User> {
    let found = accounts.user_named(&LoginName::parse(&args.user)?).await?;
    found.ok_or_else(|| anyhow!("nobody signs in as `{}`", args.user))
}

/// Users that are fetched at once.
const PAGE: i64 = 500;

async fn list(accounts: &Accounts) -> Result<String> {
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let users = accounts.users(PAGE, offset).await?;
        for user in &users {
            let logins = accounts.logins(user.id).await?;
            let names: Vec<&str> = logins.iter().map(|login| &*login.name.text).collect();
            let state = if user.is_active { "active" } else { "suspended" };
            let (names, roles) = (names.join(","), user.roles.join(","));
            text.push_str(&format!(
                "{}\t{names}\t{} {}\t{roles}\t{state}\n",
                user.id, user.first_name, user.last_name
            ));
        }
        if (users.len() as i64) < PAGE {
            return Ok(text);
        }
        offset += PAGE;
    }
}

/// `key ...`
///
/// # Errors
///
/// When the directory of keys cannot be used.
pub(crate) fn key(command: KeyCommand) -> Result<ExitCode> {
    let (KeyCommand::List(args) | KeyCommand::RotateToken(args) | KeyCommand::RotateSeal(args)) = &command;
    let config = config(args)?;
    let directory = settings::key_directory(&config.modules, &config.data_dir);
    let keys = KeyDirectory::open(&directory);
    let keys = keys.with_context(|| format!("the keys in {} cannot be used", directory.display()))?;
    match &command {
        KeyCommand::List(_) => {
            for (id, public) in keys.token_keys().public_keys() {
                println!("{id}\t{public}");
            }
        }
        KeyCommand::RotateToken(_) => {
            let number = keys.rotate_token_key()?;
            println!("tokens are signed with {}/token-{number}.key from now on", directory.display());
        }
        KeyCommand::RotateSeal(_) => {
            let number = keys.rotate_seal_key()?;
            println!(
                "secrets are sealed with {}/seal-{number}.key from now on; older ones are opened with theirs",
                directory.display()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
