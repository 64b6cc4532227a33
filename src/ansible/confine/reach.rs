//! The files and ports that a program can reach, as a ruleset of Landlock.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope, path_beneath_rules,
};
use serde::{Deserialize, Serialize};

/// The newest rights that are asked for. What the kernel does not know of them is left out.
const NEWEST: ABI = ABI::V9;

/// What every program needs that uses the C library, resolves names and knows the time zone. None of it is secret.
const SYSTEM_FILES: [&str; 15] = [
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/openssl.cnf",
    "/dev/urandom",
];
/// Where libraries and programs are.
const SYSTEM_FOLDERS: [&str; 6] = ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"];

/// What a program can reach; each path with all that is below it. What does not exist is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ansible) struct Reach {
    pub(in crate::ansible) read: Vec<PathBuf>,
    pub(in crate::ansible) execute: Vec<PathBuf>,
    pub(in crate::ansible) write: Vec<PathBuf>,
    /// Directories of sockets; kernels before Linux 7 do not ask.
    pub(in crate::ansible) sockets: Vec<PathBuf>,
    /// The TCP ports to connect to; kernels before Linux 6.7 do not ask.
    pub(in crate::ansible) ports: Vec<u16>,
}

impl Reach {
    /// What a program reaches that only uses the libraries of the system.
    pub(in crate::ansible) fn system() -> Self {
        let paths = SYSTEM_FILES.iter().chain(&SYSTEM_FOLDERS);
        Self {
            read: paths.map(PathBuf::from).collect(),
            write: vec![PathBuf::from("/dev/null")],
            ..Self::default()
        }
    }

    /// The same, and the programs of the system.
    pub(in crate::ansible) fn system_programs() -> Self {
        Self {
            execute: SYSTEM_FOLDERS.map(PathBuf::from).to_vec(),
            ..Self::system()
        }
    }

    /// The ruleset, for a process that enters it by itself; none where the kernel has no Landlock.
    ///
    /// # Errors
    /// When the kernel refuses a rule.
    pub(in crate::ansible) fn descriptor(&self) -> io::Result<Option<OwnedFd>> {
        self.ruleset().map(Into::into).map_err(io::Error::other)
    }

    /// Confines this thread and all that it starts.
    ///
    /// # Errors
    /// When the kernel refuses a rule, or the whole.
    pub(in crate::ansible) fn enter(&self) -> io::Result<()> {
        let entered = self.ruleset().and_then(RulesetCreated::restrict_self);
        entered.map(drop).map_err(io::Error::other)
    }

    fn ruleset(&self) -> Result<RulesetCreated, landlock::RulesetError> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let execute = BitFlags::from(AccessFs::Execute);
        let devices = AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev;
        let write = AccessFs::from_all(NEWEST) & !(devices | AccessFs::Execute);
        let sockets = BitFlags::from(AccessFs::ResolveUnix);
        let mut ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for (paths, access) in [
            (&self.read, read),
            (&self.execute, execute),
            (&self.write, write),
            (&self.sockets, sockets),
        ] {
            ruleset = ruleset.add_rules(path_beneath_rules(paths, access))?;
        }
        for port in &self.ports {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        Ok(ruleset)
    }
}

/// How much of this the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ansible) enum Level {
    /// Landlock is not there, or not switched on.
    Nothing,
    /// Reading, making and removing files, but not cutting them off: before Linux 6.2.
    Files,
    /// All about files: before Linux 6.7.
    WholeFiles,
    /// Connections as well: before Linux 6.12.
    Ports,
    /// Signals as well.
    Signals,
}

/// How much of it the running kernel enforces.
pub(in crate::ansible) fn level() -> Level {
    let can = |ruleset: Result<Ruleset, landlock::RulesetError>| {
        ruleset.and_then(Ruleset::create).is_ok_and(|created| {
            let descriptor: Option<OwnedFd> = created.into();
            descriptor.is_some()
        })
    };
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let levels = [
        (
            Level::Signals,
            can(strict().scope(Scope::from_all(ABI::V6))),
        ),
        (
            Level::Ports,
            can(strict().handle_access(AccessNet::from_all(ABI::V4))),
        ),
        (
            Level::WholeFiles,
            can(strict().handle_access(AccessFs::from_all(ABI::V3))),
        ),
        (
            Level::Files,
            can(strict().handle_access(AccessFs::from_all(ABI::V1))),
        ),
    ];
    levels
        .into_iter()
        .find_map(|(level, is_there)| is_there.then_some(level))
        .unwrap_or(Level::Nothing)
}
