//! The kind `Node`: a server.

use super::Moved;
use super::choice::{Drift, choice};
use super::layer::{block, kind};
use super::scalar::{
    ByteSize, Cidr, Host, HostKey, IpAddress, LabelKey, OpenPort, PackageName, PhpVersion, Port,
    SecretRef, Slug, Text, UnixUser, Window,
};

choice! {
    /// The word `Node`.
    NodeKind {
        Node = "Node",
    }
}

choice! {
    /// Whether a node takes part.
    NodeState {
        /// It is kept up to date and takes sites.
        Present = "present",
        /// It keeps what it has and takes nothing new.
        Drained = "drained",
        /// It is taken out of the fleet once it holds nothing.
        Absent = "absent",
    }
}

choice! {
    /// Whether a node reboots after updates.
    Reboot {
        /// Never on its own.
        Never = "never",
        /// In the window, when an update asks for it.
        IfNeeded = "if-needed",
    }
}

kind! {
    /// A server: Debian 12 or Ubuntu 24.04, reached over SSH.
    NodeDocument, NodeDefaults => Node {
        own {
            /// The kind of this document.
            kind: NodeKind,
            /// The name of the node; its id is `node/<name>`.
            name: Slug,
            /// The address or host name that SSH connects to.
            host: Host,
            /// Whether the node takes part.
            state: NodeState = NodeState::Present,
            /// The address that visitors reach, when it is not `host`.
            public_ip?: IpAddress,
            /// The id that the node had before it was renamed.
            moved?: Moved,
        }
        shared {
            /// Words for choosing nodes, such as `tier: shop`.
            labels%: LabelKey => Text,
            /// How the control plane reaches the node.
            ssh: SshFields => Ssh,
            /// PHP on the node.
            php: NodePhpFields => NodePhp,
            /// MariaDB on the node.
            database: DatabaseFields => Database,
            /// The object caches on the node.
            redis: RedisFields => Redis,
            /// What the firewall lets in besides 80 and 443.
            firewall: FirewallFields => Firewall,
            /// Who is never banned.
            fail2ban: Fail2banFields => Fail2ban,
            /// Operating system updates.
            patching: PatchingFields => Patching,
            /// The size of the swap file; the node's swap is left as it is without this.
            swap?: ByteSize,
            /// What to do about drift of the node itself; the fleet's `reconcile.drift` without it.
            drift?: Drift,
            /// Whether all jobs of the node are held back.
            suspend: bool = false,
        }
    }
}

block! {
    /// How the control plane reaches the node.
    SshFields => Ssh {
        /// The user to log in as; other users than `root` need password-less sudo.
        user: UnixUser = UnixUser::root(),
        /// The port of the SSH server.
        port: Port = Port::SSH,
        /// The private key; the control plane's own key is used without it.
        key?: SecretRef,
        /// The host key to expect; without it the key seen at the first contact is recorded
        /// and expected from then on.
        host_key?: HostKey,
    }
}

block! {
    /// PHP on the node.
    NodePhpFields => NodePhp {
        /// The versions that are installed.
        versions: Vec<PhpVersion> = vec![PhpVersion::standard()],
        /// How much memory the PHP workers of all environments may take together; not
        /// checked without it.
        ram_budget?: ByteSize,
        /// The size of the opcode cache of each environment.
        opcache: ByteSize = ByteSize::mebibytes(256),
    }
}

block! {
    /// MariaDB on the node.
    DatabaseFields => Database {
        /// The size of the InnoDB buffer pool; a quarter of the memory without this.
        buffer_pool?: ByteSize,
    }
}

block! {
    /// The object caches on the node.
    RedisFields => Redis {
        /// How much the Redis of each environment keeps; half as much again for what it takes beside.
        maxmemory: ByteSize = ByteSize::mebibytes(64),
    }
}

block! {
    /// What the firewall lets in besides 80 and 443.
    FirewallFields => Firewall {
        /// The networks that may connect to the SSH port; all, when empty. The control
        /// plane's address is always let in.
        ssh_allow: Vec<Cidr> = Vec::new(),
        /// Further ports that are open to everyone.
        open: Vec<OpenPort> = Vec::new(),
    }
}

block! {
    /// Who is never banned.
    Fail2banFields => Fail2ban {
        /// Networks that fail2ban ignores. The control plane's address is always ignored.
        allow: Vec<Cidr> = Vec::new(),
    }
}

block! {
    /// Operating system updates.
    PatchingFields => Patching {
        /// When security updates are installed and the node may reboot; every day, and never, without it.
        window?: Window,
        /// Whether the node reboots after updates.
        reboot: Reboot = Reboot::IfNeeded,
        /// Packages that are never updated.
        hold: Vec<PackageName> = Vec::new(),
    }
}
