//! The cluster on disk: made once, whole or not at all, and given its settings at each start.
//!
//! Who may connect: the user this server runs as, and nobody else. The kernel says who stands at the other end of a unix
//! socket (`peer`), so there is no password to keep, to leak or to check at each connection. The server uses the role
//! `cari`, which owns the database and is no superuser; the superuser is `postgres`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::process::Command;

use crate::binaries::Binaries;
use crate::error::{Error, IoContext, Result};
use crate::home::Home;
use crate::settings::{self, Settings};

/// Makes the cluster unless it is there.
pub(crate) async fn make(home: &Home, binaries: &Binaries, durable: bool) -> Result<()> {
    let cluster = &home.cluster;
    if cluster.join("PG_VERSION").exists() {
        // A cluster copied in by root still belongs to root.
        return if home.owner.uid == owner_of(cluster)? { Ok(()) } else { home.owner.own_tree(cluster) };
    }
    clean_up(home)?;
    // Made under another name and renamed: a start that is killed here leaves no half cluster behind. The name is of this
    // process, for an initdb of a killed predecessor may still be writing.
    let new = home.dir.join(format!("pg.new-{}", std::process::id()));
    fs::create_dir(&new).doing("create", &new)?;
    home.owner.own(&new)?;
    let args = [
        "--username=postgres",
        "--auth=peer",
        "--encoding=UTF8",
        "--data-checksums",
        "--no-sync",
        // Comparing bytes is what indexes want; the character type below is for folding letters.
        "--locale=C",
    ];
    match initdb(home, binaries, &new, &[&args[..], &["--lc-ctype=C.UTF-8"]].concat()).await {
        // Not every system has that one.
        Err(error) if error.to_string().contains("locale") => initdb(home, binaries, &new, &args).await?,
        other => other?,
    }
    let path = new.join("postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(&path).doing("open", &path)?;
    file.write_all(b"\ninclude_if_exists = 'cari.conf'\ninclude_if_exists = 'local.conf'\n")
        .doing("write", &path)?;
    if durable {
        // One pass over all files at the end costs a tenth of a second; one flush per file as they are made, seconds.
        sync(home, binaries, &new).await?;
    }
    fs::rename(&new, cluster).doing("rename", &new)?;
    sync_dir(&home.dir)
}

/// Writes the settings and the access rules.
pub(crate) async fn configure(
    home: &Home,
    binaries: &Binaries,
    connections_max: u16,
    durable: bool,
    extra: &[(String, String)],
) -> Result<()> {
    let settings = Settings {
        sockets: &home.sockets,
        memory_bytes: settings::memory_bytes(),
        connections_max,
        toast_lz4: takes(home, binaries, "default_toast_compression", "lz4").await?,
        wal_lz4: takes(home, binaries, "wal_compression", "lz4").await?,
        durable,
        linux: cfg!(target_os = "linux"),
    };
    let mut text = settings.text();
    for (name, value) in extra {
        text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }
    write(home, "cari.conf", &text)?;
    write(home, "pg_hba.conf", "# Written by the server at each start.\nlocal all all peer map=cari\n")?;
    let user = home.owner.server_name.replace('"', "\"\"");
    let map =
        format!("# Written by the server at each start.\ncari \"{user}\" cari\ncari \"{user}\" postgres\n");
    write(home, "pg_ident.conf", &map)
}

/// Flushes all files of a cluster to disk.
pub(crate) async fn sync(home: &Home, binaries: &Binaries, cluster: &Path) -> Result<()> {
    initdb(home, binaries, cluster, &["--sync-only"]).await
}

/// The major version that made the cluster, if there is one.
pub(crate) fn major(home: &Home) -> Option<u32> {
    fs::read_to_string(home.cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

async fn initdb(home: &Home, binaries: &Binaries, dir: &Path, args: &[&str]) -> Result<()> {
    let mut command = home.owner.command(binaries.dir.join("initdb"), &home.dir);
    command.arg("--pgdata").arg(dir).args(args);
    let output = command.output().await.doing("run", &binaries.dir.join("initdb"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Initdb(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Whether this build accepts a setting: asked of the build, for version numbers do not say what it was built with.
async fn takes(home: &Home, binaries: &Binaries, name: &str, value: &str) -> Result<bool> {
    let program = binaries.dir.join("postgres");
    let mut command: Command = home.owner.command(&program, &home.dir);
    command.args(["-C", name, "-c", &format!("{name}={value}"), "-D"]).arg(&home.cluster);
    Ok(command.output().await.doing("run", &program)?.status.success())
}

/// Removes half-made clusters of killed starts.
fn clean_up(home: &Home) -> Result<()> {
    for entry in fs::read_dir(&home.dir).doing("read", &home.dir)? {
        let entry = entry.doing("read", &home.dir)?;
        if entry.file_name().to_string_lossy().starts_with("pg.new-") {
            fs::remove_dir_all(entry.path()).doing("remove", &entry.path())?;
        }
    }
    Ok(())
}

/// Replaces a file of the cluster. It is renamed into place, never opened: its directory belongs to a lesser user, whose
/// symbolic link would otherwise make us write anywhere.
fn write(home: &Home, name: &str, text: &str) -> Result<()> {
    let path = home.cluster.join(name);
    let new = home.cluster.join(format!("{name}.new"));
    let _ = fs::remove_file(&new);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).doing("create", &new)?;
    file.write_all(text.as_bytes()).doing("write", &new)?;
    if home.owner.stepped_down {
        std::os::unix::fs::fchown(&file, Some(home.owner.uid), Some(home.owner.gid)).doing("own", &new)?;
    }
    fs::rename(&new, &path).doing("rename", &new)
}

fn owner_of(path: &Path) -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(path).doing("read", path)?.uid())
}

pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|file| file.sync_all()).doing("sync", dir)
}
