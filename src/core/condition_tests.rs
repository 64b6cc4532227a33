use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_000_000 + seconds).expect("a time")
}

fn hash(text: &str) -> SpecHash {
    SpecHash(*blake3::hash(text.as_bytes()).as_bytes())
}

fn applied(revision: &str, status: ResourceStatus) -> ConditionInputs {
    ConditionInputs {
        recorded: Some(RecordedFact {
            status,
            form: hash(revision),
            node: Some("web-1".to_owned()),
            revision: revision.to_owned(),
            updated_at: at(10),
        }),
        ..ConditionInputs::default()
    }
}

fn wanted(revision: &str) -> Target {
    Target {
        revision: revision.to_owned(),
        wanted: hash(revision),
        since: at(20),
        attempted: None,
        blocked: Vec::new(),
        given_up: false,
    }
}

fn ended(status: JobStatus, code: ErrorCode) -> EndedJob {
    EndedJob {
        id: JobId::new(at(0), [7; 10]),
        status,
        error_code: Some(code),
        error_message: Some("first line\nsecond".to_owned()),
        revision: "b".to_owned(),
        started_at: Some(at(25)),
        finished_at: at(30),
    }
}

fn open(status: JobStatus) -> OpenJob {
    OpenJob {
        id: JobId::new(at(0), [9; 10]),
        status,
        revision: "b".to_owned(),
        created_at: at(21),
        started_at: (status == JobStatus::Running).then(|| at(22)),
    }
}

/// What a look at `task` found.
fn found(task: &str, by_hand: bool) -> DriftFact {
    let mut found = Differences::default();
    found.add(task.to_owned(), by_hand);
    DriftFact {
        since: at(70),
        job: None,
        found,
    }
}

fn shown(facts: &ConditionInputs) -> String {
    let standing = standing(ResourceId::env("acme", "production"), None, facts, at(99));
    let revision = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{} {} {} desired {} attempted {} applied {} at {}",
        standing.condition.kind(),
        standing.condition.code().unwrap_or("-"),
        standing.condition.reason().unwrap_or("-"),
        revision(&standing.desired_revision),
        revision(&standing.attempted_revision),
        revision(&standing.applied_revision),
        standing.changed_at.as_second() - at(0).as_second(),
    )
}

#[test]
fn the_life_of_a_change() {
    let mut facts = applied("a", ResourceStatus::Active);
    let mut lines = vec![shown(&facts)];
    facts.target = Some(wanted("b"));
    lines.push(shown(&facts));
    facts.open = Some(open(JobStatus::Queued));
    lines.push(shown(&facts));
    facts.away_since = Some(at(24));
    lines.push(shown(&facts));
    facts.away_since = None;
    facts.open = Some(open(JobStatus::Running));
    lines.push(shown(&facts));
    facts.open = None;
    facts.ended = Some(ended(JobStatus::Failed, ErrorCode::AnsibleHostFailed));
    lines.push(shown(&facts));
    facts.target = Some(Target {
        given_up: true,
        ..wanted("b")
    });
    lines.push(shown(&facts));
    facts.ended = Some(ended(JobStatus::Succeeded, ErrorCode::InternalError));
    facts.recorded = applied("b", ResourceStatus::Active).recorded;
    lines.push(shown(&facts));
    facts.drift = Some(found("Apply the files", false));
    lines.push(shown(&facts));
    // Outside of a window it is put back later, and is no less drifted for that.
    facts.target = Some(Target {
        blocked: vec![Block {
            code: BlockCode::OutsideWindow,
            reason: "later".to_owned(),
            since: at(80),
        }],
        ..wanted("b")
    });
    lines.push(shown(&facts));
    facts.drift = None;
    lines.push(shown(&facts));
    insta::assert_snapshot!(lines.join("\n"), @r"
    ready - - desired a attempted a applied a at 10
    reconciling - - desired b attempted a applied a at 20
    reconciling - - desired b attempted a applied a at 21
    stalled ANSIBLE_HOST_UNREACHABLE its node has not answered since 2026-02-25T06:13:44Z desired b attempted a applied a at 24
    reconciling - - desired b attempted b applied a at 22
    failed ANSIBLE_HOST_FAILED first line desired b attempted b applied a at 30
    stalled ANSIBLE_HOST_FAILED first line desired b attempted b applied a at 30
    ready - - desired b attempted b applied b at 10
    drifted - found to differ: Apply the files desired b attempted b applied b at 70
    drifted - found to differ: Apply the files desired b attempted b applied b at 70
    suspended - later desired b attempted b applied b at 80
    ");
}

#[test]
fn what_keeps_a_job_from_being_planned() {
    let mut facts = applied("a", ResourceStatus::Active);
    let mut lines = Vec::new();
    let block = |code: BlockCode| {
        Some(Target {
            blocked: vec![Block {
                code,
                reason: "why".to_owned(),
                since: at(40),
            }],
            ..wanted("b")
        })
    };
    for code in [
        BlockCode::NotSupported,
        BlockCode::Suspended,
        BlockCode::OutsideWindow,
    ] {
        facts.target = block(code);
        lines.push(shown(&facts));
    }
    facts.suspended_by = Some(ResourceId::Node("web-1".to_owned()));
    lines.push(shown(&facts));
    insta::assert_snapshot!(lines.join("\n"), @r"
    blocked not-supported why desired b attempted a applied a at 40
    suspended - why desired b attempted a applied a at 40
    suspended - why desired b attempted a applied a at 40
    suspended - `node/web-1` is suspended desired b attempted a applied a at 10
    ");
}

#[test]
fn what_this_version_cannot_do_hides_no_drift() {
    let mut facts = applied("a", ResourceStatus::Active);
    facts.drift = Some(found("Serve the code", true));
    for code in BlockCode::ALL {
        facts.target = Some(Target {
            blocked: vec![Block {
                code: *code,
                reason: "why".to_owned(),
                since: at(40),
            }],
            ..wanted("b")
        });
        let is_drifted = shown(&facts).starts_with("drifted by-hand");
        assert_eq!(is_drifted, code.is_lasting(), "{code}");
    }
}

#[test]
fn none_hides_another() {
    let mut facts = applied("a", ResourceStatus::Failed);
    facts.ended = Some(ended(JobStatus::Failed, ErrorCode::HealthCheckFailed));
    facts.drift = Some(found("Serve the code", true));
    facts.suspended_by = Some(ResourceId::Node("web-1".to_owned()));
    let block = |code, reason: &str| Block {
        code,
        reason: reason.to_owned(),
        since: at(40),
    };
    facts.target = Some(Target {
        blocked: vec![
            block(BlockCode::NodeNotAvailable, "drained"),
            block(BlockCode::NotSupported, "`domains`"),
            block(BlockCode::NotSupported, "`sftp`"),
        ],
        ..wanted("b")
    });
    let all = |facts: &ConditionInputs| {
        let standing = standing(ResourceId::env("acme", "production"), None, facts, at(99));
        let all = standing.conditions();
        assert_eq!(all[0].condition, standing.condition);
        assert_eq!(all[0].since, standing.changed_at);
        let line = |known: &ConditionSince| {
            let reason = known.condition.reason().unwrap_or("-");
            let since = known.since.duration_since(at(0)).as_secs();
            format!("{} {reason} at {since}", known.condition.kind())
        };
        let lines: Vec<String> = all.iter().map(line).collect();
        lines.join("\n")
    };
    let settled = all(&facts);
    facts.open = Some(open(JobStatus::Running));
    insta::assert_snapshot!(format!("{settled}\n\n{}", all(&facts)), @r"
    suspended `node/web-1` is suspended at 10
    failed first line at 30
    blocked drained at 40
    blocked `domains` at 40
    blocked `sftp` at 40
    drifted only by hand to put back: Serve the code at 70

    reconciling - at 22
    failed first line at 30
    blocked drained at 40
    blocked `domains` at 40
    blocked `sftp` at 40
    drifted only by hand to put back: Serve the code at 70
    suspended `node/web-1` is suspended at 10
    ");
}

#[test]
fn how_the_last_job_ended() {
    let mut facts = ConditionInputs {
        target: Some(wanted("b")),
        ..ConditionInputs::default()
    };
    let mut lines = Vec::new();
    for code in [
        ErrorCode::DependencyFailed,
        ErrorCode::CancelledByUser,
        ErrorCode::Superseded,
        ErrorCode::PlanStale,
    ] {
        facts.ended = Some(ended(JobStatus::Cancelled, code));
        lines.push(shown(&facts));
    }
    // A check failed after the change was recorded.
    let mut facts = applied("b", ResourceStatus::Failed);
    facts.target = Some(wanted("b"));
    facts.ended = Some(ended(JobStatus::Failed, ErrorCode::HealthCheckFailed));
    lines.push(shown(&facts));
    // It was reset, or another check succeeded.
    facts.recorded = applied("b", ResourceStatus::Active).recorded;
    lines.push(shown(&facts));
    insta::assert_snapshot!(lines.join("\n"), @r"
    blocked dependency-failed first line desired b attempted b applied - at 30
    stalled CANCELLED_BY_USER first line desired b attempted b applied - at 30
    reconciling - - desired b attempted b applied - at 20
    reconciling - - desired b attempted b applied - at 20
    failed HEALTH_CHECK_FAILED first line desired b attempted b applied b at 30
    ready - - desired b attempted b applied b at 10
    ");
}

#[test]
fn nothing_but_its_status_is_enough() {
    let lines: Vec<String> = ResourceStatus::ALL
        .iter()
        .map(|status| format!("{status}: {}", shown(&applied("a", *status))))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    new: reconciling - - desired a attempted a applied a at 10
    provisioning: reconciling - - desired a attempted a applied a at 10
    active: ready - - desired a attempted a applied a at 10
    unreachable: stalled ANSIBLE_HOST_UNREACHABLE its node has not answered since 2026-02-25T06:13:30Z desired a attempted a applied a at 10
    decommissioned: ready - - desired a attempted a applied a at 10
    cloning: reconciling - - desired a attempted a applied a at 10
    deploying: reconciling - - desired a attempted a applied a at 10
    restoring: reconciling - - desired a attempted a applied a at 10
    failed: failed INTERNAL_ERROR it is recorded as failed, and no job says why desired a attempted a applied a at 10
    ");
}
