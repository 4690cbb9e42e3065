//! Steps at which a process of a test kills itself.

/// Kills this process when the environment names the step: `CARI_CRASH_AT=job:performed`. Does nothing in the server.
#[cfg(feature = "crash-points")]
pub(crate) fn step(name: &str) {
    if std::env::var("CARI_CRASH_AT").is_ok_and(|at| at == name) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        // The signal is on its way; nothing may be done any more.
        loop {
            std::thread::park();
        }
    }
}

/// Kills nothing.
#[cfg(not(feature = "crash-points"))]
pub(crate) fn step(_: &str) {}
