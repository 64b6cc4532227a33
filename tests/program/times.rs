//! When windows and schedules come next.

use std::fs;

use serde_json::Value;

use super::Program;

/// The quickstart with a window of the fleet, and with a schedule that nothing carries out yet.
fn repo(program: &Program) -> String {
    let repo = program.repo("quickstart");
    let fleet = repo.join("pressluft.yaml");
    let text = fs::read_to_string(&fleet).expect("it is there");
    let more = "reconcile: { windows: [\"sun 02:00-03:00 Europe/Berlin\"] }\n\
                defaults: { environment: { health: { schedule: \"30 2 * * * Europe/Berlin\" }, \
                backups: { schedule: \"0 3 * * *\" } } }\n\
                backups: { repository: \"s3:https://s3.example/b\", credentials: \"secret:s3\", \
                password: \"secret:restic\" }\n";
    fs::write(&fleet, format!("{text}{more}")).expect("written");
    repo.display().to_string()
}

#[test]
fn validate_says_the_next_three_times_of_every_window_and_schedule_when_it_is_asked_to() {
    let program = Program::new();
    let repo = repo(&program);
    let quiet = program.run(&["validate", &repo]).expect(0);
    assert!(!quiet.stdout.contains("Next times"), "{}", quiet.stdout);
    let told = program.run(&["validate", "--verbose", &repo]).expect(0);
    let after = |head: &str| {
        let (_, rest) = told.stdout.split_once(head).expect("it is told");
        let lines = rest.lines().skip(1).take(4);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let window = after("reconcile.windows `sun 02:00-03:00 Europe/Berlin` of fleet");
    let is_time = |line: &String| line.starts_with("    Sun ") && line.contains(" until 0");
    assert!(window[..3].iter().all(is_time), "{}", told.stdout);
    let backups = after("backups.schedule `0 3 * * *` of env/");
    assert!(backups[0].contains(" 03:00 UTC"), "{}", told.stdout);
    assert!(
        backups[3].contains("backups are not made"),
        "{}",
        told.stdout
    );

    let quiet = program.run(&["validate", "--json", &repo]).expect(0);
    assert!(!quiet.stdout.contains("\"times\""), "{}", quiet.stdout);
    let told = program
        .run(&["validate", "--verbose", "--json", &repo])
        .expect(0);
    let lines = told.lines();
    let times: Vec<&Value> = lines.iter().filter(|l| l["type"] == "times").collect();
    assert!(times.len() >= 3, "{}", told.stdout);
    for line in &times {
        let count = line["times"].as_array().map_or(0, Vec::len);
        assert_eq!(count, 3, "{line}");
    }
    assert_eq!(lines.last().expect("a summary")["type"], "summary");
}

#[test]
fn describe_says_the_next_three_times_of_what_is_recorded() {
    let program = Program::new();
    let repo = repo(&program);
    program
        .run(&["apply", "--no-wait", "--auto-approve", &repo])
        .expect(0);
    let told = program.run(&["describe", "fleet"]).expect(0);
    let window = "reconcile.windows `sun 02:00-03:00 Europe/Berlin`\n    Sun ";
    assert!(told.stdout.contains(window), "{}", told.stdout);
    let told = program.run(&["describe", "fleet", "-o", "json"]).expect(0);
    let fleet: Value = serde_json::from_str(&told.stdout).expect("JSON");
    let times = fleet["times"][0]["times"].as_array().expect("times");
    assert_eq!(times.len(), 3, "{fleet}");
}
