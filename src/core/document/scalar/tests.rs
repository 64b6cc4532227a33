use super::*;

/// What `text` is written as, or `-` when it is refused.
fn canonical<T: Scalar + std::fmt::Display>(text: &str) -> String {
    T::parse(text).map_or_else(|_| "-".to_owned(), |value| value.to_string())
}

fn all<T: Scalar + std::fmt::Display>(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(canonical::<T>(text), *expected, "{} {text:?}", T::FORMAT);
        if *expected != "-" {
            assert_eq!(
                canonical::<T>(expected),
                *expected,
                "canonical spellings read back"
            );
        }
    }
    for example in T::EXAMPLES {
        assert_ne!(canonical::<T>(example), "-", "{} {example:?}", T::FORMAT);
        assert!(
            matches!(check_format(T::FORMAT, example), Some(Ok(()))),
            "{}",
            T::FORMAT
        );
    }
}

#[test]
fn spans_of_time() {
    all::<Duration>(&[
        ("60s", "1m"),
        ("90s", "90s"),
        ("24h", "1d"),
        ("2w", "14d"),
        ("0s", "0s"),
        ("5 m", "5m"),
        ("30", "-"),
        ("1.5h", "-"),
        ("-5m", "-"),
        ("007s", "-"),
        ("99999999999999999999d", "-"),
        ("5M", "-"),
        ("", "-"),
    ]);
}

#[test]
fn sizes() {
    all::<ByteSize>(&[
        ("2048MiB", "2GiB"),
        ("512M", "512MiB"),
        ("1536MiB", "1536MiB"),
        ("0MiB", "0B"),
        ("1.5GiB", "-"),
        ("512", "-"),
        ("512MB", "-"),
        ("99999TiB", "-"),
    ]);
    all::<PhpSize>(&[("512MiB", "512M"), ("1024M", "1G"), ("512m", "-")]);
}

#[test]
fn windows() {
    all::<Window>(&[
        (
            "sun 03:00-05:00 Europe/Berlin",
            "sun 03:00-05:00 Europe/Berlin",
        ),
        (
            "Sun  03:00-05:00  europe/berlin",
            "sun 03:00-05:00 Europe/Berlin",
        ),
        ("tue 02:00-04:00 UTC", "tue 02:00-04:00"),
        ("fri-mon 22:00-02:00", "mon,fri,sat,sun 22:00-02:00"),
        ("mon-sun 01:00-02:00", "01:00-02:00"),
        ("sun 3-5", "-"),
        ("sun 03:00-03:00", "-"),
        ("sun 24:00-25:00", "-"),
        ("sunday 03:00-05:00", "-"),
        ("sun 03:00-05:00 Mars/Phobos", "-"),
        ("sun", "-"),
    ]);
}

#[test]
fn the_next_edge_of_the_windows_is_known() {
    let at = |text: &str| -> jiff::Timestamp { text.parse().expect("a time") };
    let opening = |windows: &[&str], now: &str| {
        let windows: Vec<Window> = windows
            .iter()
            .map(|window| Window::parse(window).expect("a window"))
            .collect();
        Opening::at(&windows, at(now)).expect("known time zones")
    };
    let open = |until: &str| Opening::OpenUntil(at(until));
    let closed = |until: &str| Opening::ClosedUntil(at(until));
    let (sunday, nights) = ("sun 03:00-05:00 Europe/Berlin", "mon-fri 22:00-02:00");
    assert_eq!(opening(&[], "2026-02-22T02:00:00Z"), Opening::Always);
    for (windows, now, expected) in [
        // 22 February 2026 is a Sunday; Berlin is one hour ahead of UTC.
        (
            &[sunday][..],
            "2026-02-22T01:59:59Z",
            closed("2026-02-22T02:00:00Z"),
        ),
        (
            &[sunday],
            "2026-02-22T02:00:00Z",
            open("2026-02-22T04:00:00Z"),
        ),
        (
            &[sunday],
            "2026-02-22T04:00:00Z",
            closed("2026-03-01T02:00:00Z"),
        ),
        (
            &[nights],
            "2026-02-21T01:59:00Z",
            open("2026-02-21T02:00:00Z"),
        ),
        (
            &[nights],
            "2026-02-21T02:00:00Z",
            closed("2026-02-23T22:00:00Z"),
        ),
        (
            &[nights],
            "2026-02-23T23:00:00Z",
            open("2026-02-24T02:00:00Z"),
        ),
        (
            &[nights, sunday],
            "2026-02-21T12:00:00Z",
            closed("2026-02-22T02:00:00Z"),
        ),
        // On 29 March 2026 the clocks of Berlin skip the hour from two to three.
        (
            &["sun 02:30-04:00 Europe/Berlin"],
            "2026-03-28T12:00:00Z",
            closed("2026-03-29T01:00:00Z"),
        ),
        (
            &["sun 02:30-04:00 Europe/Berlin"],
            "2026-03-29T01:00:00Z",
            open("2026-03-29T02:00:00Z"),
        ),
        (
            &["sun 01:00-02:30 Europe/Berlin"],
            "2026-03-29T00:59:00Z",
            open("2026-03-29T01:00:00Z"),
        ),
        // What is skipped as a whole comes right after it, for as long as it is written.
        (
            &["sun 02:00-03:00 Europe/Berlin"],
            "2026-03-29T00:59:00Z",
            closed("2026-03-29T01:00:00Z"),
        ),
        (
            &["sun 02:10-02:40 Europe/Berlin"],
            "2026-03-29T01:00:00Z",
            open("2026-03-29T01:30:00Z"),
        ),
        (
            &["sun 02:10-02:40 Europe/Berlin"],
            "2026-03-29T01:30:00Z",
            closed("2026-04-05T00:10:00Z"),
        ),
        // At midnight, on 6 September 2026 in Chile.
        (
            &["sun 00:00-01:00 America/Santiago"],
            "2026-09-05T12:00:00Z",
            closed("2026-09-06T04:00:00Z"),
        ),
        // On 25 October 2026 they have it twice.
        (
            &["sun 02:30-05:00 Europe/Berlin"],
            "2026-10-25T01:10:00Z",
            open("2026-10-25T04:00:00Z"),
        ),
        (
            &["sun 01:00-02:30 Europe/Berlin"],
            "2026-10-25T00:29:00Z",
            open("2026-10-25T00:30:00Z"),
        ),
        (
            &["sun 01:00-02:30 Europe/Berlin"],
            "2026-10-25T01:10:00Z",
            closed("2026-11-01T00:00:00Z"),
        ),
        (
            &["sun 02:15-02:45 Europe/Berlin"],
            "2026-10-25T00:45:00Z",
            closed("2026-11-01T01:15:00Z"),
        ),
    ] {
        assert_eq!(opening(windows, now), expected, "{windows:?} at {now}");
    }
}

#[test]
fn schedules() {
    all::<Schedule>(&[
        ("0  3 * * *", "0 3 * * *"),
        ("30 2 * * SUN", "30 2 * * sun"),
        ("0 3 * *", "-"),
        ("0 0 3 * * *", "-"),
        ("@daily", "-"),
        ("0 3 * * * europe/berlin", "0 3 * * * Europe/Berlin"),
        ("0 3 * * * utc", "0 3 * * *"),
        ("0 3 * * * Mars/Olympus", "-"),
        ("0 3 * * * Europe/Berlin x", "-"),
        ("0 25 * * *", "-"),
    ]);
}

#[test]
fn networks() {
    all::<Cidr>(&[
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::1/32", "2001:db8::/32"),
        ("198.51.100.0/33", "-"),
        ("198.51.100.0/+8", "-"),
        ("example", "-"),
    ]);
    all::<IpAddress>(&[("2001:DB8:0::1", "2001:db8::1"), ("203.0.113.010", "-")]);
}

#[test]
fn batches_and_rates() {
    all::<Batch>(&[
        ("25%", "25%"),
        ("5", "5"),
        ("0", "-"),
        ("101%", "-"),
        ("-1", "-"),
    ]);
    all::<Rate>(&[
        ("10/s", "10r/s"),
        ("120r/m", "120r/m"),
        ("10", "-"),
        ("0r/s", "-"),
    ]);
}

#[test]
fn names() {
    all::<Slug>(&[
        ("web-1", "web-1"),
        ("a", "a"),
        ("1a", "-"),
        ("a-", "-"),
        ("a--b", "-"),
        ("Acme", "-"),
        ("", "-"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "-"),
    ]);
    all::<HostName>(&[
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("acme", "-"),
        ("acme.example.", "-"),
        ("-a.example", "-"),
        ("bücher.example", "-"),
        ("*.acme.example", "-"),
        ("1.2.3.4", "-"),
    ]);
    all::<Host>(&[
        ("web-1", "web-1"),
        ("2001:db8::1", "2001:db8::1"),
        ("-oX", "-"),
        ("a b", "-"),
    ]);
    all::<UnixUser>(&[("deploy_1", "deploy_1"), ("Root", "-"), ("0a", "-")]);
    all::<Email>(&[
        ("a.b+c@acme.example", "a.b+c@acme.example"),
        ("a@b", "-"),
        ("a b@c.example", "-"),
    ]);
}

#[test]
fn what_reaches_files_of_a_host() {
    all::<ConstantName>(&[
        ("WP_DEBUG", "WP_DEBUG"),
        ("db_password", "-"),
        // Where our must-use plugin, uploads and code are read from, and whether.
        ("WPMU_PLUGIN_DIR", "-"),
        ("Wp_Plugin_Dir", "-"),
        ("WP_CONTENT_DIR", "-"),
        ("UPLOADS", "-"),
        ("SHORTINIT", "-"),
        ("A-B", "-"),
        ("true", "-"),
    ]);
    all::<IniKey>(&[
        ("opcache.jit", "opcache.jit"),
        ("open_basedir", "-"),
        // What loads code, reads or writes a file, or runs a program.
        ("ffi.preload", "-"),
        ("ffi.enable", "-"),
        ("opcache.preload", "-"),
        ("opcache.file_cache", "-"),
        ("mail.log", "-"),
        ("session.save_handler", "-"),
        ("user_ini.filename", "-"),
        ("xdebug.mode", "-"),
        ("a\nb", "-"),
        ("[x]", "-"),
    ]);
    all::<HeaderName>(&[
        ("X-A", "X-A"),
        ("X A", "-"),
        ("X\r\nY", "-"),
        ("Content-Length", "-"),
    ]);
    all::<OptionName>(&[
        ("posts_per_page", "posts_per_page"),
        ("siteurl", "-"),
        ("--x", "-"),
    ]);
    all::<RelativePath>(&[
        ("a/b", "a/b"),
        ("../a", "-"),
        ("/a", "-"),
        ("a/../b", "-"),
        ("-a", "-"),
    ]);
    all::<UrlPath>(&[
        ("/a/?b=c", "/a/?b=c"),
        ("a", "-"),
        ("/a b", "-"),
        ("/../a", "-"),
        ("/a\"", "-"),
        ("/caf%C3%A9/", "/caf%C3%A9/"),
        ("/a%+ab", "-"),
        ("/a%0ab", "-"),
        ("/a%7F", "-"),
        ("/a%c2%85", "-"),
        ("/100%", "-"),
        ("/a%4", "-"),
    ]);
    all::<RedirectTarget>(&[
        ("//evil.example", "-"),
        ("javascript:alert(1)", "-"),
        ("/a", "/a"),
    ]);
    all::<Text>(&[
        ("{{ a }} \"'é 👩‍🍳", "{{ a }} \"'é 👩‍🍳"),
        ("a\nb", "-"),
        ("a\u{202e}b", "-"),
        (" ", "-"),
    ]);
}

#[test]
fn code_and_keys() {
    all::<GitUrl>(&[
        ("ext::sh -c id", "-"),
        ("--upload-pack=id", "-"),
        ("https://user:secret@git.example.com/a", "-"),
        ("ssh://-oProxyCommand=id/a", "-"),
        ("file:///etc", "-"),
        (
            "git@git.example.com:acme/wp.git",
            "git@git.example.com:acme/wp.git",
        ),
    ]);
    all::<GitRef>(&[
        ("v1.0", "v1.0"),
        ("--upload-pack=id", "-"),
        ("a..b", "-"),
        ("a b", "-"),
    ]);
    all::<HostKey>(&[("ssh-ed25519 AAAA", "-"), ("ssh-foo AAAA", "-")]);
    all::<SshPublicKey>(&[("command=\"id\" ssh-ed25519 AAAA", "-")]);
    all::<AgeRecipient>(&[("AGE-SECRET-KEY-1XYZ", "-")]);
    all::<SecretRef>(&[
        ("hunter2", "-"),
        ("secret:", "-"),
        ("secret:../x", "-"),
        ("secret:a/b", "secret:a/b"),
    ]);
    all::<Version>(&[("6.8.2", "6.8.2"), ("latest", "-"), ("1..2", "-")]);
    all::<ResourceRef>(&[
        ("site/acme", "site/acme"),
        ("fleet", "-"),
        ("site/Acme", "-"),
        ("env/a", "-"),
    ]);
    all::<HookPoint>(&[
        ("before:site_create", "before:site_create"),
        ("during:site_create", "-"),
        ("after:x", "-"),
    ]);
    all::<Sha256>(&[("ABC", "-")]);
    all::<BackupRepository>(&[("rest:https://a:b@x.example/", "-"), ("ftp:x", "-")]);
}

#[test]
fn no_message_repeats_what_may_be_a_secret() {
    for refused in [
        SecretRef::parse("hunter2").expect_err("it is refused"),
        SecretRef::parse("secret:hunter2!").expect_err("it is refused"),
        GitUrl::parse("https://user:hunter2@git.example.com/a").expect_err("it is refused"),
        BackupRepository::parse("rest:https://a:hunter2@x.example/").expect_err("it is refused"),
        HostKey::parse("-----BEGIN PRIVATE KEY----- hunter2").expect_err("it is refused"),
    ] {
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}
