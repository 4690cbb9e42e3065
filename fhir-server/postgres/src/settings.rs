//! The server settings of the cluster, in a file of ours that `postgresql.conf` includes.
//!
//! It is written anew at each start, so it follows the machine and the version of this program. What an operator wants
//! otherwise goes into `pg/local.conf`, which is read after it.

use std::fmt::Write;
use std::path::Path;

/// What the settings depend on.
#[derive(Debug, Clone)]
pub(crate) struct Settings<'a> {
    pub(crate) sockets: &'a Path,
    pub(crate) memory_bytes: u64,
    pub(crate) connections_max: u16,
    /// Whether this build of PostgreSQL has lz4 for large values.
    pub(crate) toast_lz4: bool,
    /// Whether it has lz4 for full-page images.
    pub(crate) wal_lz4: bool,
    /// Off for tests only: a power cut then loses the cluster.
    pub(crate) durable: bool,
    pub(crate) linux: bool,
}

impl Settings<'_> {
    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let memory_mb = self.memory_bytes / MB;
        let shared_mb = if memory_mb < 2048 { 128 } else { (memory_mb / 4).min(512) };
        let mut text =
            String::from("# Written by the server at each start. Put your own settings into local.conf.\n");
        let mut set = |name: &str, value: &str| {
            let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
        };
        // No TCP: only this machine's server talks to it, through the socket.
        set("listen_addresses", "");
        set("port", "5432");
        set("unix_socket_directories", &self.sockets.to_string_lossy());
        set("unix_socket_permissions", "0700");
        set("max_connections", &self.connections_max.to_string());

        set("shared_buffers", &format!("{shared_mb}MB"));
        set("effective_cache_size", &format!("{}MB", (memory_mb / 2).max(256)));
        set("work_mem", "16MB");
        set("maintenance_work_mem", &format!("{}MB", (memory_mb / 16).clamp(32, 256)));

        let durable = if self.durable { "on" } else { "off" };
        set("fsync", durable);
        set("synchronous_commit", durable);
        set("full_page_writes", durable);
        set("wal_compression", if self.wal_lz4 { "lz4" } else { "on" });
        set("checkpoint_timeout", "15min");
        set("max_wal_size", "2GB");
        set("default_toast_compression", if self.toast_lz4 { "lz4" } else { "pglz" });

        // The data is on an SSD or in memory. Prefetch needs posix_fadvise, which only Linux has.
        set("random_page_cost", "1.1");
        if self.linux {
            set("effective_io_concurrency", "200");
            set("client_connection_check_interval", "10s");
        }
        // Our statements are short and many: compiling one costs more than it saves.
        set("jit", "off");
        set("plan_cache_mode", "auto");

        // GIN posting lists and the planner's statistics of the key arrays age with inserts: look early, work steadily.
        set("autovacuum_naptime", "30s");
        set("autovacuum_vacuum_scale_factor", "0.05");
        set("autovacuum_vacuum_insert_scale_factor", "0.1");
        set("autovacuum_analyze_scale_factor", "0.05");
        set("autovacuum_vacuum_cost_limit", "1000");

        // Statements and the details of errors hold patients' data: neither belongs in a log.
        set("logging_collector", "off");
        set("log_destination", "stderr");
        set("log_line_prefix", "%m [%p] ");
        set("log_min_error_statement", "panic");
        set("log_error_verbosity", "terse");
        set("log_parameter_max_length", "0");
        set("log_parameter_max_length_on_error", "0");
        set("log_checkpoints", "off");
        set("timezone", "UTC");
        set("log_timezone", "UTC");
        text
    }
}

/// The memory of the machine, or of the control group we are held in.
pub(crate) fn memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    });
    let group =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    match (machine, group) {
        (Some(machine), Some(group)) => machine.min(group),
        (Some(bytes), None) | (None, Some(bytes)) => bytes,
        (None, None) => 4096 * MB,
    }
}

const MB: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings<'static> {
        Settings {
            sockets: Path::new("/data/run"),
            memory_bytes: 16 * 1024 * MB,
            connections_max: 100,
            toast_lz4: true,
            wal_lz4: true,
            durable: true,
            linux: true,
        }
    }

    #[test]
    fn buffers_follow_the_memory() {
        for (memory_mb, shared) in [(512, "128MB"), (2047, "128MB"), (2048, "512MB"), (1 << 20, "512MB")]
            .map(|(mb, s)| (mb as u64, s))
        {
            let text = Settings { memory_bytes: memory_mb * MB, ..settings() }.text();
            assert!(text.contains(&format!("shared_buffers = '{shared}'\n")), "{memory_mb} MB:\n{text}");
        }
    }

    #[test]
    fn durable_unless_told_otherwise() {
        let text = settings().text();
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            assert!(text.contains(&format!("{name} = 'on'\n")), "{name}");
        }
        assert!(Settings { durable: false, ..settings() }.text().contains("fsync = 'off'\n"));
    }

    #[test]
    fn a_quote_in_the_path_stays_inside_the_value() {
        let text = Settings { sockets: Path::new("/o'hara/run"), ..settings() }.text();
        assert!(text.contains("unix_socket_directories = '/o''hara/run'\n"));
    }

    #[test]
    fn compression_falls_back_to_what_the_build_has() {
        let text = Settings { toast_lz4: false, wal_lz4: false, ..settings() }.text();
        assert!(text.contains("default_toast_compression = 'pglz'\n"));
        assert!(text.contains("wal_compression = 'on'\n"));
    }
}
