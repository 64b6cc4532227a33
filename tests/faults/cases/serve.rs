//! `pressluft serve` dies again and again while commits are pushed and workers run what it has
//! queued: in the end the fleet is what the last commit says, and nothing is lost or doubled.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pressluft::clock;
use pressluft::core::condition::ConditionKind;
use pressluft::core::reconcile::Verdict;
use pressluft::core::secret_owner::Reserved;
use pressluft::git::{Loaded, load_desired, open_working_tree};
use pressluft::process;

use crate::Result;
use crate::context::{Context, was_killed};
use crate::report::Report;
use crate::roles::CRASH;
use crate::world::{Settings, World};

const WORKERS: usize = 2;
const NODES: u64 = 6;
/// The kills of one database.
const ROUND: u64 = 50;
/// How long the last start may take until all is done.
const PATIENCE: Duration = Duration::from_secs(120);

/// Places that a reconcile reaches.
const PLACES: &[&str] = &[
    "write: begun",
    "write: ready",
    "write: committed",
    "enqueue: begun",
    "enqueue: plan inserted",
    "enqueue: superseded",
    "enqueue: audited",
    "enqueue: job row inserted",
    "enqueue: payload inserted",
    "enqueue: jobs inserted",
    "supersede: job ended",
    "supersede: dependents ended",
    "head: opened",
    "head: written",
];

pub(crate) fn run(context: &Context) -> Result<Report> {
    let mut report = Report::default();
    let mut left = context.dosed(16, 1_000);
    let mut round = 0;
    while left > 0 {
        let kills = left.min(ROUND);
        let directory = context.place(format!("serve-{round}"))?;
        one(
            context,
            &directory,
            context.seed + round,
            kills,
            &mut report,
        )?;
        std::fs::remove_dir_all(&directory)?;
        left -= kills;
        round += 1;
    }
    Ok(report)
}

fn one(
    context: &Context,
    directory: &Path,
    seed: u64,
    kills: u64,
    report: &mut Report,
) -> Result<()> {
    let settings = Settings {
        // The clock of `serve` is the real one.
        speed: 1,
        flags: &["--applies"],
        ..Settings::default()
    };
    let mut world = World::new(directory, seed, settings)?;
    let mut fleet = Fleet::new(directory)?;
    for _ in 0..WORKERS {
        world.start(context, &[])?;
    }
    // Commits count from the first one that was looked at.
    let mut serve = fleet.serve(context, None)?;
    let begun = Instant::now();
    while world.store.last_sighting()?.is_none() && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    report.violations.extend(serve.kill()?);
    let mut moved = 0;
    for number in 0..kills {
        let before = world.store.last_sighting()?.map(|seen| seen.revision.id);
        let crash = (cfg!(feature = "crash-points") && world.random.one_in(2)).then(|| {
            let label = PLACES[world.random.index(PLACES.len())];
            format!("{label}@{}", 1 + world.random.below(6))
        });
        let mut serve = fleet.serve(context, crash.as_deref())?;
        let wait = Duration::from_millis(world.random.below(500));
        let pushed = world.random.below(3);
        for push in 0..pushed {
            fleet.push(world.random.below(NODES), world.random.one_in(8))?;
            if push == 0 {
                thread::sleep(wait / 2);
            }
        }
        thread::sleep(wait / 2);
        let mut broken = serve.kill()?;
        let after = world.store.last_sighting()?.map(|seen| seen.revision.id);
        moved += u64::from(before != after);
        if number.is_multiple_of(10) {
            broken.extend(world.orphans()?);
        }
        report.run(broken);
    }
    // Otherwise it was killed before it did anything.
    if moved * 10 < kills {
        let message = format!("only {moved} of {kills} starts took a commit before their death");
        report.violations.push(message);
    }
    // Undisturbed, it gets there.
    fleet.push(0, false)?;
    let mut serve = fleet.serve(context, None)?;
    let begun = Instant::now();
    let mut broken = loop {
        let open = fleet.unsettled(&world)?;
        if open.is_empty() {
            break Vec::new();
        }
        if begun.elapsed() > PATIENCE {
            break vec![format!("it does not get there: {}", open.join(", "))];
        }
        thread::sleep(Duration::from_millis(50));
    };
    broken.extend(serve.kill()?);
    broken.extend(world.kill_all(Duration::from_secs(30))?.1);
    broken.extend(fleet.judged(&world)?);
    broken.extend(world.check()?);
    report.violations.extend(broken);
    Ok(())
}

/// A repository with a fleet, and what was pushed to it.
struct Fleet {
    directory: PathBuf,
    number: u64,
    good: BTreeSet<String>,
    broken: BTreeSet<String>,
    starts: u64,
}

impl Fleet {
    fn new(directory: &Path) -> Result<Self> {
        let mut fleet = Self {
            directory: directory.to_owned(),
            number: 0,
            good: BTreeSet::new(),
            broken: BTreeSet::new(),
            starts: 0,
        };
        let bare = fleet.bare().display().to_string();
        fleet.git(directory, &["init", "-q", "--bare", "-b", "main", &bare])?;
        fleet.git(directory, &["clone", "-q", &bare, "clone"])?;
        std::fs::create_dir_all(fleet.clone().join("sites"))?;
        let mut text = "kind: Fleet\nversion: 1\nname: studio\n\
            reconcile: { interval: 1s }\n"
            .to_owned();
        for node in 0..NODES {
            text.push_str(&format!(
                "---\nkind: Node\nname: web-{node}\nhost: 192.0.2.{}\n",
                node + 1
            ));
        }
        std::fs::write(fleet.clone().join("pressluft.yaml"), text)?;
        for node in 0..NODES {
            fleet.write_site(node)?;
        }
        fleet.commit_and_push(false)?;
        Ok(fleet)
    }

    fn bare(&self) -> PathBuf {
        self.directory.join("fleet.git")
    }

    fn clone(&self) -> PathBuf {
        self.directory.join("clone")
    }

    fn write_site(&self, node: u64) -> Result<()> {
        let text = format!(
            "kind: Site\nname: s{node}\ntitle: Title {}\nnode: web-{node}\n\
             admin: {{ user: ops, email: ops@studio.example }}\n\
             wordpress: {{ version: \"6.8.2\" }}\n\
             ---\nkind: Environment\nsite: s{node}\nname: production\ntype: production\n\
             php: {{ memory: {}M }}\n",
            self.number,
            256 + self.number % 100
        );
        let path = self.clone().join(format!("sites/s{node}.yaml"));
        Ok(std::fs::write(path, text)?)
    }

    /// Pushes a change of one site, or a commit with an error.
    fn push(&mut self, node: u64, is_broken: bool) -> Result<()> {
        self.number += 1;
        let error = self.clone().join("error.yaml");
        if is_broken {
            std::fs::write(&error, format!("kind: Node\nname: [{}\n", self.number))?;
        } else {
            if error.exists() {
                std::fs::remove_file(&error)?;
            }
            self.write_site(node)?;
        }
        self.commit_and_push(is_broken)
    }

    fn commit_and_push(&mut self, is_broken: bool) -> Result<()> {
        let clone = self.clone();
        self.git(&clone, &["add", "-A"])?;
        self.git(&clone, &["commit", "-q", "-m", "A change"])?;
        self.git(&clone, &["push", "-q", "origin", "HEAD:main"])?;
        let commit = self.git(&clone, &["rev-parse", "HEAD"])?;
        let set = if is_broken {
            &mut self.broken
        } else {
            &mut self.good
        };
        set.insert(commit);
        Ok(())
    }

    fn git(&self, directory: &Path, words: &[&str]) -> Result<String> {
        let output = process::command("git")
            .current_dir(directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Robin Example")
            .env("GIT_AUTHOR_EMAIL", "robin@studio.example")
            .env("GIT_COMMITTER_NAME", "Robin Example")
            .env("GIT_COMMITTER_EMAIL", "robin@studio.example")
            .args(words)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts the daemon, which dies by itself at `crash` if it gets there.
    fn serve(&mut self, context: &Context, crash: Option<&str>) -> Result<Serve> {
        self.starts += 1;
        let errors = self.directory.join(format!("serve-errors-{}", self.starts));
        let mut command = context.role("serve")?;
        command
            .args(["--no-jobs", "--json", "--ref", "main", "--repo"])
            .arg(self.bare())
            .arg("--state-dir")
            .arg(self.directory.join("state"))
            .arg("--db-path")
            .arg(self.directory.join("state.db"))
            .env("PRESSLUFT_LISTEN_ADDR", "127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::from(File::create(&errors)?));
        if let Some(crash) = crash {
            command.env(CRASH, crash);
        }
        Ok(Serve {
            child: command.spawn()?,
            errors,
        })
    }

    /// What is not as the last commit says.
    fn unsettled(&self, world: &World) -> Result<Vec<String>> {
        let Loaded::Valid(desired, _) = load_desired(
            open_working_tree(&self.clone(), None)?,
            None,
            &Reserved::default(),
        )?
        else {
            return Err("the last commit has errors".into());
        };
        let mut open: Vec<String> = Vec::new();
        for id in desired.ids() {
            let recorded = world.store.recorded(id)?;
            if recorded.map(|recorded| recorded.spec_hash) != desired.hash(id)? {
                open.push(id.to_string());
            }
        }
        for standing in world.store.standings(clock::now())? {
            if standing.condition.kind() != ConditionKind::Ready {
                open.push(format!("{} {:?}", standing.id, standing.condition));
            }
        }
        Ok(open)
    }

    /// What was made of the commits, and of the jobs.
    fn judged(&self, world: &World) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        let mut seen = BTreeSet::new();
        for sighting in world.store.sightings(None, 100_000)? {
            let commit = sighting.revision.id;
            let fits = match sighting.verdict {
                Verdict::Accepted => self.good.contains(&commit),
                Verdict::Invalid => self.broken.contains(&commit),
                // Nobody looked at it.
                Verdict::Superseded => true,
                Verdict::Refused => false,
            };
            if !fits {
                broken.push(format!("I4: `{commit}` is {}", sighting.verdict));
            }
            if !seen.insert(commit.clone()) {
                broken.push(format!("I4: `{commit}` is recorded twice"));
            }
        }
        let pushed: BTreeSet<String> = self.good.union(&self.broken).cloned().collect();
        broken.extend(
            pushed
                .symmetric_difference(&seen)
                .map(|commit| format!("I1: `{commit}` was pushed and seen only on one side")),
        );
        // The same change of the same state, carried out twice.
        let connection = rusqlite::Connection::open(self.directory.join("state.db"))?;
        let twice: Vec<String> = connection
            .prepare(
                "SELECT resource || ' ' || job_type FROM jobs
                 WHERE status = 'succeeded' AND job_type <> 'health_check'
                 GROUP BY resource, job_type, base_generation HAVING count(*) > 1",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        broken.extend(
            twice
                .iter()
                .map(|what| format!("I3: {what} was done twice")),
        );
        Ok(broken)
    }
}

/// A running daemon; killed when dropped.
struct Serve {
    child: Child,
    errors: PathBuf,
}

impl Serve {
    /// Kills it; what it died of if that was something else.
    fn kill(&mut self) -> Result<Vec<String>> {
        let by_itself = self.child.try_wait()?;
        let status = match by_itself {
            Some(status) => status,
            None => {
                self.child.kill()?;
                self.child.wait()?
            }
        };
        let errors = std::fs::read_to_string(&self.errors)?;
        std::fs::remove_file(&self.errors)?;
        if was_killed(status) {
            return Ok(Vec::new());
        }
        Ok(vec![format!("serve ended by itself: {status}: {errors}")])
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
