//! Code of a node's choice that runs in Ansible's process reaches its own attempt and its own node, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

use pressluft::core::document::fleet::AnsibleEngine;

use crate::in_both_engines;
use crate::support::{Bench, node};

/// Tries everything, and tells on its node what came of it.
const ATTACK: &str = r#"
import array, ctypes, fcntl, glob, json, os, shutil, signal, socket, subprocess
from ansible.plugins.action import ActionBase

STATE, PARENT, PORT = "STATE", int("PARENT"), int("PORT")

def read(path):
    return open(path, "rb").read(16)

def write(path):
    with open(path, "ab") as stream:
        stream.write(b"x")

def attribute(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setxattr(path.encode(), b"user.x", b"x", 1, 0) != 0:
        raise OSError(ctypes.get_errno(), "setxattr")

def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "syscall")

def cut(path, flags):
    # As for a device that only takes orders; and read only, which cuts off all the same.
    os.close(os.open(path, flags | os.O_TRUNC))

def cut_by_other_call(path):
    flags = array.array("Q", [3 | os.O_TRUNC, 0, 0])
    call(437, -100, path.encode(), flags.buffer_info()[0], 24)

def datagram(path, kind):
    one, _ = socket.socketpair(socket.AF_UNIX, kind)
    one.sendto(b"x", path)

def namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    pid = libc.syscall(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")

def namespace_by_other_call():
    arguments = array.array("Q", [0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0])
    libc = ctypes.CDLL(None, use_errno=True)
    pid = libc.syscall(435, arguments.buffer_info()[0], 64)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone3")

def type_into_terminal():
    master, slave = os.openpty()
    fcntl.ioctl(slave, 0x5412, b"x")

def unix(path):
    socket.socket(socket.AF_UNIX).connect(path)

def tries():
    for path in ("secrets/identity.age", "pressluft.db", "ssh/id_ed25519", "run/other-1/play/secrets.json", "play.yml.bak"):
        yield "read " + path, lambda path=path: read(os.path.join(STATE, path))
    for path in ("/etc/shadow", "/root/.ssh/id_ed25519", "/proc/%d/environ" % PARENT, "/proc/%d/mem" % PARENT, "/proc/net/unix", "/proc/self/environ"):
        yield "read " + path, lambda path=path: read(path)
    for path in ("", "run", "ssh", "secrets", "warm"):
        yield "list " + path, lambda path=path: os.listdir(os.path.join(STATE, path))
    for path in ("pressluft.db", "new", "secrets/new", "run/other-1/new", "ssh/authorized"):
        yield "write " + path, lambda path=path: write(os.path.join(STATE, path))
    for path in ("/tmp/pressluft-attack", "/var/tmp/pressluft-attack", "/dev/shm/pressluft-attack", "/etc/cron.d/pressluft-attack"):
        yield "write " + path, lambda path=path: write(path)
    database = os.path.join(STATE, "pressluft.db")
    yield "chmod", lambda: os.chmod(database, 0o777)
    yield "chown", lambda: os.chown(database, os.getuid(), -1)
    yield "touch", lambda: os.utime(database, (0, 0))
    yield "attribute", lambda: attribute(database)
    yield "truncate", lambda: os.truncate(database, 0)
    venv_file = json.__file__
    for flags in (3, os.O_RDONLY):
        for path in (database, venv_file):
            yield "cut off %d %s" % (flags, path), lambda path=path, flags=flags: cut(path, flags)
    yield "cut off by another call", lambda: cut_by_other_call(database)
    yield "order to a device", lambda: os.close(os.open("/dev/null", 3))
    yield "unlink", lambda: os.unlink(database)
    yield "rename", lambda: os.rename(database, database + ".gone")
    yield "link in", lambda: os.link(database, os.path.join(os.environ["TMPDIR"], "linked"))
    yield "remove all", lambda: shutil.rmtree(os.path.join(STATE, "secrets"))
    yield "program", lambda: subprocess.run(["/bin/true"], check=True)
    yield "own program", lambda: own_program()
    yield "tcp", lambda: socket.create_connection(("127.0.0.1", PORT), 5)
    yield "unix", lambda: unix(os.path.join(STATE, "other.sock"))
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        yield "datagram %d" % kind, lambda kind=kind: datagram(os.path.join(STATE, "other.dgram"), kind)
    yield "pair of another family", lambda: socket.socketpair(socket.AF_TIPC, socket.SOCK_STREAM)
    yield "terminal", lambda: os.open("/dev/tty", 3)
    yield "type", lambda: type_into_terminal()
    yield "namespace", lambda: namespace()
    yield "namespace by another call", lambda: namespace_by_other_call()
    yield "signal 0", lambda: os.kill(PARENT, 0)
    yield "signal", lambda: os.kill(PARENT, signal.SIGTERM)
    yield "ptrace", lambda: call(101, 16, PARENT, 0, 0)
    yield "root again", lambda: os.setuid(0) if os.getuid() else write(database)
    yield "handle", lambda: call(304, -100, 0, 0)
    yield "io_uring", lambda: call(425, 8, ctypes.create_string_buffer(256))
    yield "limit of another", lambda: call(302, PARENT, 7, (ctypes.c_ulong * 2)(64, 64), 0)
    yield "signal by a descriptor", lambda: fcntl.fcntl(0, fcntl.F_SETOWN, PARENT)
    yield "priority of another", lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 19)
    # The other set of numbers that x86 has for the same calls.
    yield "other numbers", lambda: call(0x40000000 + 62, PARENT, 0)
    # At the end: whoever succeeds has other rights from then on.
    yield "unshare", lambda: call(272, 0x10000000)

def own_program():
    path = os.path.join(os.environ["TMPDIR"], "program")
    shutil.copyfile("/bin/true", path)
    fd = os.open(path, os.O_RDONLY)
    os.execve(fd, ["program"], {})

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        write(os.path.join(os.environ["TMPDIR"], "own"))
        own = [name for name in ("vars.json", "secrets.json", "tmp/own") if os.path.exists(name) and read(name)]
        got, refused = [], []
        for name, attempt in tries():
            try:
                attempt()
                got.append(name)
            except Exception as error:
                refused.append(name)
        text = json.dumps({"got": got, "refused": len(refused), "own": own, "user": os.getuid()})
        self._low_level_execute_command("cat >/tmp/attack", in_data=text.encode())
        return {}
"#;

fn code_of_a_node_finds_nothing(engine: AnsibleEngine) {
    let node = crate::node_or_skip!(node(1));
    node.shell("rm -f /tmp/attack");
    // Of a run whose guard was taken out.
    let elsewhere = ["/tmp", "/var/tmp", "/dev/shm", "/etc/cron.d"];
    let elsewhere = elsewhere.map(|folder| Path::new(folder).join("pressluft-attack"));
    for path in &elsewhere {
        drop(fs::remove_file(path));
    }
    let bench = Bench::new(engine);
    let state = bench.state.path();
    let secret = b"not for a node";
    for path in [
        "secrets/identity.age",
        "pressluft.db",
        "ssh/id_ed25519",
        "run/other-1/play/secrets.json",
        "play.yml.bak",
    ] {
        let path = state.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(&path, secret).expect("written");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("own");
    }
    // What is not in use is swept by the next engine; this one is in use.
    let open = UnixListener::bind(state.join("other.sock")).expect("a socket");
    let told = UnixDatagram::bind(state.join("other.dgram")).expect("a socket");
    fs::set_permissions(state.join("other.dgram"), PermissionsExt::from_mode(0o666)).expect("own");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let mut invocation = bench.invocation(&node, "- attack:");
    let attack = ATTACK
        .replace("STATE\"", &format!("{}\"", state.display()))
        .replace("PARENT\"", &format!("{}\"", std::process::id()))
        .replace(
            "PORT\"",
            &format!("{}\"", port.local_addr().expect("bound").port()),
        );
    fs::write(state.join("action_plugins/attack.py"), attack).expect("written");
    let value = serde_json::json!("its own");
    invocation.secrets.insert("named".to_owned(), value);
    let outcome = bench.engine.run(
        &invocation,
        &str::to_owned,
        &mut |_| {},
        &mut |_| {},
        &pressluft::ansible::Cancel::default(),
    );
    drop((open, told, port));
    assert_eq!(outcome.failure, None);
    let told: serde_json::Value =
        serde_json::from_str(&node.shell("cat /tmp/attack")).expect("it ran");
    assert_eq!(told["got"], serde_json::json!([]), "{told}");
    assert_eq!(
        told["own"],
        serde_json::json!(["vars.json", "secrets.json", "tmp/own"])
    );
    assert!(told["refused"].as_u64().expect("a count") > 54, "{told}");
    if nix::unistd::geteuid().is_root() {
        assert!(
            told["user"].as_u64().expect("a user") >= 1_900_000_000,
            "{told}"
        );
    }
    assert_eq!(fs::read(state.join("pressluft.db")).expect("there"), secret);
    for path in ["new", "secrets/new", "run/other-1/new"] {
        assert!(!state.join(path).exists(), "{path}");
    }
    for path in &elsewhere {
        assert!(!path.exists(), "{}", path.display());
    }
}

in_both_engines! {
    code_of_a_node_finds_nothing,
}

/// What holds the private key of a connection signs for the node of that connection, whoever asks it.
#[test]
fn an_agent_signs_for_its_own_node_alone() {
    let node_one = crate::node_or_skip!(node(1));
    let node_two = crate::node_or_skip!(node(2));
    let bench = Bench::new(AnsibleEngine::Plain);
    let invocation = bench.invocation(&node_one, "- ansible.builtin.ping:");
    assert_eq!(bench.run(&invocation).outcome.failure, None);
    // The connection stays open, and its agent with it.
    let places = fs::read_dir(bench.state.path().join("ssh")).expect("there");
    let mut places = places.flatten().filter(|place| place.path().is_dir());
    let place = places.next().expect("the connections of the engine").path();
    let connections = fs::read_dir(place).expect("there").flatten();
    let agent = connections
        .map(|connection| connection.path().join("a"))
        .find(|agent| agent.exists());
    let agent = agent.expect("an agent");
    let login = |address: &str| {
        let output = pressluft::process::command("ssh")
            .args(["-F", "none", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"])
            .args(["-o", "IdentityFile=none", "-o"])
            .arg(format!("IdentityAgent={}", agent.display()))
            .args(["-l", "root", address, "true"])
            .output();
        output.expect("ssh runs").status.success()
    };
    assert_eq!(node_one.key, node_two.key, "the same key opens both");
    assert!(login(&node_one.address), "its own node");
    assert!(!login(&node_two.address), "another node");
}
