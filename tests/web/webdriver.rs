//! A real browser, driven over the WebDriver protocol.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pressluft::process;
use serde_json::{Value, json};

use crate::client::{Reply, post};

/// The longest that a test waits for the page to do something.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Browser {
    /// Ends with this.
    _driver: Driver,
    address: SocketAddr,
    session: String,
}

/// Where the driver is, or none.
fn driver() -> Option<PathBuf> {
    let known = ["/usr/bin/chromedriver", "/usr/local/bin/chromedriver"];
    known.iter().map(PathBuf::from).find(|path| path.exists())
}

impl Browser {
    /// A browser, or none where none is installed: then standard error says so, and CI fails.
    #[expect(
        clippy::disallowed_methods,
        reason = "CI must not pass because it has no browser"
    )]
    pub(crate) fn start() -> Option<Self> {
        let Some(path) = driver() else {
            let note = "no browser here: the pages are not tested in one; \
                        `tests/need browser` installs it\n";
            drop(std::io::stderr().write_all(note.as_bytes()));
            assert!(std::env::var_os("CI").is_none(), "{note}");
            return None;
        };
        let profile = tempfile::tempdir().expect("a profile");
        let child = process::command(path)
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let mut driver = Driver { child, profile };
        let output = driver.child.stdout.take().expect("its output");
        let line = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("started successfully on port"))
            .expect("the driver says its port");
        let port: u16 = line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!(
                "--user-data-dir={}",
                driver.profile.path().join("data").display()
            ),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let reply = post("/session", capabilities.to_string())
            .json()
            .send(address);
        let session = reply.json()["value"]["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session: {}", reply.text()))
            .to_owned();
        Some(Self {
            _driver: driver,
            address,
            session,
        })
    }

    fn value(&self, path: &str, body: &Value) -> Value {
        let address = format!("/session/{}{path}", self.session);
        let reply: Reply = post(&address, body.to_string()).json().send(self.address);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()["value"].clone()
    }

    pub(crate) fn open(&self, address: &str) {
        self.value("/url", &json!({ "url": address }));
    }

    pub(crate) fn path(&self) -> String {
        self.script("return location.pathname")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// What a script returns in the page.
    pub(crate) fn script(&self, text: &str) -> Value {
        self.value("/execute/sync", &json!({ "script": text, "args": [] }))
    }

    fn element(&self, selector: &str) -> String {
        let asked = json!({ "using": "css selector", "value": selector });
        let found = self.value("/element", &asked);
        let id = found.as_object().and_then(|map| map.values().next());
        id.and_then(Value::as_str).expect("an element").to_owned()
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.value(&format!("/element/{element}/click"), &json!({}));
    }

    pub(crate) fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        let path = format!("/element/{element}/value");
        self.value(&path, &json!({ "text": text }));
    }

    /// Presses one key, wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        let press = |kind: &str| json!({ "type": kind, "value": key });
        let actions = json!({ "actions": [{
            "type": "key", "id": "keys", "actions": [press("keyDown"), press("keyUp")],
        }]});
        self.value("/actions", &actions);
    }

    pub(crate) fn text(&self) -> String {
        let text = self.script("return document.body.innerText");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a script returns true.
    pub(crate) fn wait(&self, what: &str, script: &str) {
        let begun = Instant::now();
        while self.script(script) != Value::Bool(true) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: it never came\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the page shows a text.
    pub(crate) fn wait_for(&self, text: &str) {
        let script = format!("return document.body.innerText.includes({})", json!(text));
        self.wait(text, &script);
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.value("/goog/cdp/execute", &body)
    }

    /// A screen of this width, and a person who prefers `scheme`.
    pub(crate) fn look(&self, width: u32, scheme: &str) {
        let height = if width < 600 { 812 } else { 900 };
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// A picture of the whole page.
    pub(crate) fn picture(&self, file: &Path) {
        let asked = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.devtools("Page.captureScreenshot", &asked);
        let data = shot["data"].as_str().expect("a picture");
        let bytes = data_encoding::BASE64
            .decode(data.as_bytes())
            .expect("base64");
        std::fs::write(file, bytes).expect("written");
    }

    /// What the browser complained about since it was asked last: errors of scripts, and what the
    /// policy of a page forbade.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.value("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].to_string())
            .collect()
    }
}

/// The driver, with whatever it started: none of it outlives a test, however that ends.
struct Driver {
    child: Child,
    /// Is in the command line of every process of its browser, and of no other.
    profile: tempfile::TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        let profile = self.profile.path().as_os_str().as_bytes();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_string_lossy().parse().ok();
            let Some(pid) = pid.map(Pid::from_raw) else {
                continue;
            };
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if line.windows(profile.len()).any(|part| part == profile) {
                // It may have ended by itself.
                kill(pid, Signal::SIGKILL).unwrap_or_default();
            }
        }
    }
}
