//! Fetching over ssh from a server on this machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pressluft::git::{
    Credentials, FetchRequest, GitError, Reference, RepoUrl, fetch, open_working_tree,
};
use pressluft::process;
use tempfile::TempDir;

use crate::repository::{Repository, fetch_from, paths};

/// An ssh server that takes one key, with a host key of its own.
struct Server {
    directory: TempDir,
    port: u16,
    child: Child,
}

impl Server {
    fn start() -> Option<Self> {
        let program = Path::new("/usr/sbin/sshd");
        if !program.exists() {
            #[expect(clippy::print_stderr, reason = "says why nothing was tested")]
            {
                eprintln!("skipped: install openssh-server to test fetching over ssh");
            }
            return None;
        }
        let directory = tempfile::tempdir().expect("temporary directory");
        for name in ["host", "user", "stranger"] {
            let path = directory.path().join(name);
            let status = process::command("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(&path)
                .status();
            assert!(status.expect("ssh-keygen runs").success());
        }
        let at = |name: &str| directory.path().join(name).display().to_string();
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            at("host"),
            at("user.pub")
        );
        fs::write(directory.path().join("config"), config).expect("write");
        // The program wants its empty directory, which a boot would make.
        drop(fs::create_dir("/run/sshd"));
        let child = process::command(program)
            .args(["-D", "-e", "-f"])
            .arg(directory.path().join("config"))
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd starts");
        let server = Self {
            directory,
            port,
            child,
        };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "sshd does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    fn url(&self, repository: &Repository) -> String {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        let user = user.expect("user database").expect("a user").name;
        format!(
            "ssh://{user}@127.0.0.1:{}{}",
            self.port,
            repository.path().display()
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The line of `known_hosts` with the key in `name`.
    fn known(&self, name: &str) -> PathBuf {
        let key = fs::read_to_string(self.file(&format!("{name}.pub"))).expect("key");
        let path = self.file("known_hosts");
        fs::write(&path, format!("[127.0.0.1]:{} {key}", self.port)).expect("write");
        path
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            ssh_key: Some(self.file("user")),
            known_hosts: Some(self.known("host")),
            ..Credentials::default()
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn state() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

#[test]
fn a_key_and_known_hosts_of_another_system_are_taken() {
    let Some(server) = Server::start() else {
        return;
    };
    let repository = Repository::with(&[("a.yaml", "one")]);
    let credentials = server.credentials();
    for name in ["user", "known_hosts"] {
        let text = fs::read_to_string(server.file(name)).expect("it is there");
        let foreign = format!("\u{FEFF}{}", text.replace('\n', "\r\n"));
        fs::write(server.file(name), foreign).expect("written");
    }
    let (state, url) = (state(), server.url(&repository));
    let snapshot = fetch_from(&url, "main", state.path(), &credentials).expect("fetched");
    assert_eq!(paths(&snapshot), ["a.yaml"]);
}

#[test]
fn new_commits_tags_and_force_pushes_arrive() {
    let Some(server) = Server::start() else {
        return;
    };
    let repository = Repository::with(&[("a.yaml", "one"), ("deep/b.yaml", "one")]);
    let first = repository.git(["rev-parse", "HEAD"]);
    repository.git(["tag", "--annotate", "--message", "t", "v1"]);
    let (state, url, credentials) = (state(), server.url(&repository), server.credentials());
    let get = |reference: &str| fetch_from(&url, reference, state.path(), &credentials);

    let snapshot = get("main").expect("first fetch");
    assert_eq!(snapshot.revision.commit.as_ref(), Some(&first));
    assert_eq!(paths(&snapshot), ["a.yaml", "deep/b.yaml"]);
    assert_eq!(snapshot.read(&snapshot.files[1]).expect("readable"), b"one");

    repository.write("a.yaml", "two");
    let second = repository.commit("Second");
    let snapshot = get("main").expect("second fetch");
    assert_eq!(snapshot.revision.commit.as_ref(), Some(&second));
    assert_eq!(snapshot.read(&snapshot.files[0]).expect("readable"), b"two");
    assert_eq!(
        get("v1").expect("tag").revision.commit.as_ref(),
        Some(&first)
    );

    repository.git(["reset", "--quiet", "--hard", &first]);
    repository.write("a.yaml", "three");
    let third = repository.commit("Third");
    let snapshot = get("HEAD").expect("after a force-push");
    assert_eq!(snapshot.revision.commit.as_ref(), Some(&third));
    assert_eq!(
        snapshot.read(&snapshot.files[0]).expect("readable"),
        b"three"
    );

    // A commit in the middle of the history, which no name leads to, in a new copy.
    repository.write("a.yaml", "four");
    repository.commit("Fourth");
    let fresh = tempfile::tempdir().expect("temporary directory");
    let snapshot = fetch_from(&url, &third, fresh.path(), &credentials).expect("by its id");
    assert_eq!(
        snapshot.read(&snapshot.files[0]).expect("readable"),
        b"three"
    );
    // What is there already is not fetched again, so a server that is gone does not matter.
    drop(server);
    assert!(fetch_from(&url, &third, fresh.path(), &credentials).is_ok());
    let gone = fetch_from(&url, "main", fresh.path(), &credentials).expect_err("gone");
    assert!(matches!(gone, GitError::Fetch { .. }), "{gone}");
}

#[test]
fn nothing_is_checked_out_and_a_damaged_copy_is_made_anew() {
    let Some(server) = Server::start() else {
        return;
    };
    let repository = Repository::with(&[("a.yaml", "one")]);
    let (state, url, credentials) = (state(), server.url(&repository), server.credentials());
    let get = || fetch_from(&url, "main", state.path(), &credentials);
    get().expect("first fetch");
    let copies = || {
        let entries = fs::read_dir(state.path().join("repos"))
            .expect("copies")
            .flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect::<Vec<_>>()
    };
    let [copy] = &copies()[..] else {
        panic!("one copy")
    };
    assert!(copy.join("HEAD").exists() && !copy.join("a.yaml").exists());
    assert!(
        open_working_tree(copy, None)
            .expect("readable")
            .files
            .is_empty()
    );
    for entry in fs::read_dir(copy.join("objects/pack"))
        .expect("packs")
        .flatten()
    {
        fs::set_permissions(
            entry.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .expect("permissions");
        fs::write(entry.path(), b"damaged").expect("write");
    }
    let snapshot = get().expect("after damage");
    assert_eq!(snapshot.read(&snapshot.files[0]).expect("readable"), b"one");
    fs::write(copy.join("HEAD"), b"\0\0").expect("write");
    assert!(get().is_ok());
}

#[test]
fn a_wrong_host_key_or_login_has_its_own_error() {
    let Some(server) = Server::start() else {
        return;
    };
    let repository = Repository::with(&[("a.yaml", "one")]);
    let (state, url, good) = (state(), server.url(&repository), server.credentials());
    let get = |credentials: &Credentials| {
        fetch_from(&url, "main", state.path(), credentials).expect_err("refused")
    };
    let unknown = get(&Credentials {
        known_hosts: Some(server.file("none")),
        ..good.clone()
    });
    assert!(
        matches!(unknown, GitError::HostKeyUnknown { .. }),
        "{unknown}"
    );
    let presented = fs::read_to_string(server.file("host.pub")).expect("key");
    let key = presented.split(' ').nth(1).expect("a key");
    assert!(
        unknown.hint().is_some_and(|hint| hint.contains(key)),
        "{:?}",
        unknown.hint()
    );

    let wrong = get(&Credentials {
        known_hosts: Some(server.known("stranger")),
        ..good.clone()
    });
    assert!(matches!(wrong, GitError::HostKeyMismatch { .. }), "{wrong}");

    server.known("host");
    for ssh_key in [
        None,
        Some(server.file("stranger")),
        Some(server.file("missing")),
    ] {
        let login = get(&Credentials {
            ssh_key,
            ..good.clone()
        });
        assert!(matches!(login, GitError::Login { .. }), "{login}");
    }
}

#[test]
fn fetches_at_the_same_time_wait_for_each_other() {
    let Some(server) = Server::start() else {
        return;
    };
    let repository = Repository::with(&[("a.yaml", "one")]);
    let (state, url, credentials) = (state(), server.url(&repository), server.credentials());
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| fetch_from(&url, "main", state.path(), &credentials)))
            .collect();
        for fetch in fetches {
            let snapshot = fetch.join().expect("no panic").expect("fetched");
            assert_eq!(snapshot.read(&snapshot.files[0]).expect("readable"), b"one");
        }
    });
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url: RepoUrl = format!("ssh://git@127.0.0.1:{port}/x")
        .parse()
        .expect("valid");
    let state = state();
    let request = FetchRequest {
        url: &url,
        reference: &Reference::Head,
        subdirectory: "",
        state_dir: state.path(),
        credentials: &Credentials::default(),
        since: None,
        time_limit: Duration::from_millis(300),
    };
    let slow = fetch(&request, &mut |_| ControlFlow::Continue(())).expect_err("slow");
    assert!(matches!(slow, GitError::TooSlow { .. }), "{slow}");
    let stopped = fetch(&request, &mut |_| ControlFlow::Break(())).expect_err("stopped");
    assert!(matches!(stopped, GitError::Interrupted { .. }), "{stopped}");
}
