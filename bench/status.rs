//! How fast the status endpoint answers with a million jobs behind it, while jobs are claimed and
//! finished, and what 200 event streams cost. `cargo bench --bench status`.

#[path = "queue/fill.rs"]
mod fill;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pressluft::clock;
use pressluft::core::id::ResourceId;
use pressluft::store::{Finish, Outcome, Scope, StateChange, Store};
use pressluft::web::{Options, Server, new_api_token, token_digest};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const JOBS: usize = 1_000_000;
/// Sites, each with an environment.
const SITES: usize = 1_000;
const NODES: usize = 100;
/// Jobs that are still queued; the others ended long ago.
const QUEUED: usize = 10_000;
/// Requests in a second, over [`CLIENTS`] connections, for [`SPAN`].
const RATE: u32 = 200;
const CLIENTS: u32 = 4;
const SPAN: Duration = Duration::from_secs(15);
const TARGET: Duration = Duration::from_millis(20);
const STREAMS: usize = 200;

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("state.db");
    let begun = Instant::now();
    fill::fill(&path, JOBS, NODES, false)?;
    end_most(&path)?;
    let token = prepare(&path)?;
    let mut out = io::stdout().lock();
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(out, "{:<36} {seconds:>12.0} s", "  queueing 1,000,000 jobs")?;

    let mut options = Options::new(&path);
    options.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let server = Server::bind(options)?;
    let address = server.addresses()[0];
    let handle = server.handle();
    let running = std::thread::spawn(move || server.run());
    let mut met = true;
    for path_asked in [
        "/api/jobs",
        "/api/jobs?status=failed",
        "/metrics",
        "/api/metrics",
        "/",
    ] {
        let mut times = under_load(&path, address, path_asked, &token)?;
        times.sort_unstable();
        let p99 = times[(times.len() - 1) * 99 / 100];
        let is_target = path_asked != "/";
        let word = match (is_target, p99 < TARGET) {
            (false, _) => "",
            (true, true) => "target < 20 ms  PASS",
            (true, false) => "target < 20 ms  MISS",
        };
        met &= !is_target || p99 < TARGET;
        let name = format!("p99 of {path_asked}");
        writeln!(
            out,
            "{name:<36} {:>10.2} ms  {word}",
            p99.as_secs_f64() * 1e3
        )?;
    }
    let cost = streams(&path, address, &token)?;
    let word = if cost < 50 << 20 { "PASS" } else { "MISS" };
    met &= cost < 50 << 20;
    let mebibytes = cost as f64 / f64::from(1 << 20);
    writeln!(
        out,
        "{:<36} {mebibytes:>9.1} MiB  target < 50 MiB  {word}",
        "both ends of 200 streams"
    )?;
    handle.stop();
    running.join().map_err(|_| "the server panicked")?;
    Ok(met)
}

/// Spreads the jobs over the environments and ends all but the last of them. Claiming and finishing
/// a million jobs would take half an hour, and leave the same rows for a reader.
fn end_most(path: &Path) -> Result<()> {
    let connection = rusqlite::Connection::open(path)?;
    connection.execute(
        "UPDATE jobs SET status = CASE sequence % 50 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
             started_at = created_at, finished_at = created_at + 2000000,
             site_id = 'site-' || (sequence % ?1),
             resource = 'env/site-' || (sequence % ?1) || '/production',
             environment_id = 'env/site-' || (sequence % ?1) || '/production'
         WHERE sequence <= ?2",
        [i64::try_from(SITES)?, i64::try_from(JOBS - QUEUED)?],
    )?;
    Ok(())
}

/// Records the sites and a token.
fn prepare(path: &Path) -> Result<String> {
    let mut store = Store::open(path)?;
    let changes: Vec<StateChange> = (0..SITES)
        .flat_map(|n| {
            let (site, node) = (format!("site-{n}"), format!("node-{:04}", n % NODES));
            let environment = ResourceId::env(&site, "production");
            [
                fill::record(&ResourceId::Site(site), &node),
                fill::record(&environment, &node),
            ]
        })
        .collect();
    store.set_recorded(&changes, &[], "a measurement", "bench", clock::now())?;
    let token = new_api_token();
    store.add_api_token("bench", &token_digest(&token), None, "bench", clock::now())?;
    Ok(token)
}

/// How long each request took at [`RATE`], while jobs are claimed and finished.
fn under_load(path: &Path, address: SocketAddr, asked: &str, token: &str) -> Result<Vec<Duration>> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let working = scope.spawn(|| work(path, &done).map_err(|error| error.to_string()));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(move || client(address, asked, token).map_err(|e| e.to_string())))
            .collect();
        let mut times = Vec::new();
        let mut failure = None;
        for one in clients {
            match one.join() {
                Ok(Ok(mut found)) => times.append(&mut found),
                Ok(Err(error)) => failure = Some(error),
                Err(_) => failure = Some("a client panicked".to_owned()),
            }
        }
        done.store(true, Ordering::SeqCst);
        match (working.join(), failure) {
            (Ok(Ok(())), None) => Ok(times),
            (Ok(Err(error)), _) | (_, Some(error)) => Err(error.into()),
            (Err(_), None) => Err("the worker panicked".into()),
        }
    })
}

/// A busy worker: some fifty jobs in a second.
fn work(path: &Path, done: &AtomicBool) -> Result<()> {
    let mut store = Store::open(path)?;
    while !done.load(Ordering::SeqCst) {
        if let Some(claim) = store.claim("bench", Scope::All, fill::at(JOBS))? {
            let changes = [fill::record(&claim.job.resource, &claim.job.node_id)];
            let finish = Finish {
                job: claim.job.id,
                token: claim.token,
                outcome: Outcome::Succeeded,
                changes: &changes,
            };
            store.finish(&finish, "bench", clock::now())?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn client(address: SocketAddr, asked: &str, token: &str) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let request =
        format!("GET {asked} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let pause = Duration::from_secs(1) * CLIENTS / RATE;
    // The first one pays for what is kept afterwards.
    stream.write_all(request.as_bytes())?;
    read_answer(&mut reader)?;
    let begun = Instant::now();
    let mut times = Vec::new();
    let mut due = begun;
    while begun.elapsed() < SPAN {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += pause;
        let sent = Instant::now();
        stream.write_all(request.as_bytes())?;
        read_answer(&mut reader)?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> Result<()> {
    let mut length = 0;
    let mut line = String::new();
    let mut is_first = true;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if is_first && !line.contains(" 200 ") {
            return Err(format!("not answered: {line}").into());
        }
        is_first = false;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    Ok(())
}

/// The memory that [`STREAMS`] open streams take, on both of their ends.
fn streams(path: &Path, address: SocketAddr, token: &str) -> Result<u64> {
    let mut store = Store::open(path)?;
    let claim = store
        .claim("bench", Scope::All, fill::at(JOBS))?
        .ok_or("no job is left")?;
    let before = resident()?;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = TcpStream::connect(address)?;
        let request = format!(
            "GET /api/jobs/{}/events?stream HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n",
            claim.job.id
        );
        stream.write_all(request.as_bytes())?;
        let mut first = [0; 12];
        stream.read_exact(&mut first)?;
        open.push(stream);
    }
    std::thread::sleep(Duration::from_secs(2));
    Ok(resident()?.saturating_sub(before))
}

/// Bytes of this process that are in memory; the server is in it.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_ascii_whitespace().nth(1))
        .ok_or("no memory is told")?
        .parse()?;
    Ok(kib * 1_024)
}
