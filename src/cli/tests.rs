use super::*;

fn parsed(line: &str) -> Result<Command, Error> {
    let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
    parse(&words)
}

fn run(line: &str) -> Options {
    match parsed(line) {
        Ok(Command::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn clusters_and_values_in_every_spelling() {
    for line in
        ["-nlDf a.conf", "-nlDfa.conf", "-n -l -D --use-file=a.conf", "-nlD --use-file a.conf", "-nlD --use a.conf"]
    {
        let options = run(line);
        assert!(options.foreground && options.log_console && options.log_detail, "{line}");
        assert_eq!(options.config_path(), PathBuf::from("a.conf"), "{line}");
    }
}

#[test]
fn every_path_option_reaches_its_field() {
    let options = run("-p main -r vrrp --checkers_pid check -g log -s blue -i node1");
    assert_eq!(options.pid_file, Some("main".into()));
    assert_eq!(options.vrrp_pid_file, Some("vrrp".into()));
    assert_eq!(options.checkers_pid_file, Some("check".into()));
    assert_eq!(options.log_file, Some("log".into()));
    assert_eq!(options.namespace.as_deref(), Some("blue"));
    assert_eq!(options.config_id.as_deref(), Some("node1"));
}

#[test]
fn flags_without_values() {
    let options = run("-X -V -I -R -d -n -G -m -e --ignore-sigint");
    assert!(options.keep_addresses && options.dont_respawn && options.dump_config);
    assert!(options.no_syslog && options.core_dump && options.require_all_files && options.ignore_sigint);
    assert!(options.keep_services);
    assert_eq!(options.without_effect, [] as [&str; 0]);
}

#[test]
fn the_backend_is_one_of_three() {
    assert_eq!(run("").backend, None);
    for backend in LvsBackend::ALL {
        assert_eq!(run(&format!("--lvs-backend={}", backend.word())).backend, Some(backend));
    }
    assert!(matches!(parsed("--lvs-backend none"), Err(Error::BadValue(..))));
}

#[test]
fn parts_are_chosen_by_p_and_c() {
    assert_eq!(run("").subsystems, Subsystems { vrrp: true, checkers: true, bfd: true });
    assert_eq!(run("-P").subsystems, Subsystems { vrrp: true, checkers: false, bfd: true });
    assert_eq!(run("-C").subsystems, Subsystems { vrrp: false, checkers: true, bfd: true });
    assert_eq!(run("-PC").subsystems, Subsystems { vrrp: true, checkers: true, bfd: true });
    assert_eq!(run("-BP").subsystems, Subsystems { vrrp: true, checkers: false, bfd: false });
}

#[test]
fn the_test_option_takes_only_an_attached_file() {
    let cases = [("-t", None), ("-tout", Some("out")), ("--config-test", None), ("--config-test=out", Some("out"))];
    for (line, file) in cases {
        match parsed(line) {
            Ok(Command::Test(_, output)) => assert_eq!(output, file.map(PathBuf::from), "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    assert_eq!(parsed("-t out"), Err(Error::Surplus("out".into())));
}

#[test]
fn findings_as_json_and_the_effective_configuration() {
    assert!(matches!(parsed("-t --json"), Ok(Command::Test(options, None)) if options.json));
    assert!(matches!(parsed("--print-config -f x"), Ok(Command::Print(options)) if options.config_file.is_some()));
    assert_eq!(run("--pi f").pid_file, Some(PathBuf::from("f")), "keepalived's abbreviations still work");
}

#[test]
fn numbers_and_facilities() {
    assert_eq!(run("-u 022").umask, Some(0o22));
    assert_eq!(run("-u 0x12").umask, Some(0o22));
    assert_eq!(run("-u18").umask, Some(0o22));
    assert_eq!(run("-u 0").umask, Some(0));
    for line in ["-u 9999", "-u 089", "-u x", "-u -1"] {
        assert!(matches!(parsed(line), Err(Error::BadValue(..))), "{line}");
    }
    assert_eq!(run("-S 3").log_facility, Facility::local(3));
    assert_eq!(run("-Slocal7").log_facility, Facility::local(7));
    assert_eq!(run("--log-facility=user").log_facility, Facility::USER);
    assert!(matches!(parsed("-S 8"), Err(Error::BadValue(..))));
}

#[test]
fn faults_and_their_exit_codes() {
    let cases = [
        ("--bogus", Error::UnknownOption("--bogus".into()), 1),
        ("-Z", Error::UnknownOption("-Z".into()), 1),
        ("-f", Error::MissingValue("-f".into(), "FILE"), 1),
        ("--pid", Error::MissingValue("--pid".into(), "FILE"), 1),
        ("--vrrp=1", Error::SurplusValue("vrrp"), 1),
        ("-n a b", Error::Surplus("a b".into()), 0),
        ("-n -- -f", Error::Surplus("-f".into()), 0),
        ("-T", Error::NotAvailable("-T".into()), 1),
    ];
    for (line, error, code) in cases {
        assert_eq!(parsed(line), Err(error.clone()), "{line}");
        assert_eq!(error.exit_code(), code, "{line}");
    }
    assert!(matches!(parsed("--log"), Err(Error::Ambiguous(..))));
}

#[test]
fn commands_that_print_and_end() {
    assert_eq!(parsed("-v"), Ok(Command::Version));
    assert_eq!(parsed("-nlD --help"), Ok(Command::Help));
    assert_eq!(parsed("--signum=RELOAD"), Ok(Command::Signal(1)));
    assert_eq!(parsed("--signum STOP"), Ok(Command::Signal(15)));
    assert_eq!(parsed("--signum=DATA"), Ok(Command::Signal(10)));
    assert_eq!(parsed("--signum=STATS"), Ok(Command::Signal(12)));
    assert_eq!(parsed("--signum=JSON"), Ok(Command::Signal(36)));
    assert!(matches!(parsed("--signum=FOO"), Err(Error::BadValue(..))));
}

#[test]
fn options_that_change_nothing_are_remembered() {
    assert_eq!(run("-x -a -B --all -A s -b f").without_effect.len(), 5);
}

#[test]
fn help_names_every_option() {
    let text = help("standfast");
    for row in OPTIONS {
        assert!(text.contains(&format!("--{}", row.long)), "{}", row.long);
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }
}

#[test]
fn letters_and_names_are_unique() {
    for (index, row) in OPTIONS.iter().enumerate() {
        for other in &OPTIONS[index + 1..] {
            assert_ne!(row.long, other.long);
            assert!(row.short.is_none() || row.short != other.short, "{}", row.long);
        }
    }
}
