//! Telling systemd how it goes, where it asked for that (`Type=notify`, `WatchdogSec=`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use super::env::env_text;

/// What systemd is told, or nobody.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that this process lives.
    watchdog: Option<Duration>,
    told: Instant,
    is_stopping: bool,
}

impl ServiceManager {
    /// The one of this process's environment.
    pub(crate) fn of_environment() -> Self {
        let socket = env_text("NOTIFY_SOCKET").and_then(|path| match connect(&path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%path, %error, "cannot reach the service manager");
                None
            }
        });
        let is_meant =
            env_text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = env_text("WATCHDOG_USEC").filter(|_| is_meant);
        let watchdog = micros.and_then(|micros| micros.parse().ok());
        Self {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
            told: Instant::now(),
            is_stopping: false,
        }
    }

    /// It has started.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It ends, which may take a while. Told once.
    pub(crate) fn stopping(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.tell("STOPPING=1");
        }
    }

    /// It lives; told twice as often as it has to be.
    pub(crate) fn alive(&mut self) {
        if self
            .watchdog
            .is_some_and(|span| self.told.elapsed() >= span / 2)
        {
            self.told = Instant::now();
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::warn!(%state, %error, "cannot tell the service manager");
        }
    }
}

/// A path, or a name without one that starts with `@`.
fn connect(path: &str) -> std::io::Result<UnixDatagram> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}
