//! The demonstration as an operator runs it: tiny markets, real flags, real files.
//!
//! What its judges find in made-up cases is tested beside them.

use std::ffi::OsString;
use std::path::PathBuf;

use edge_node::{Ending, end};
use serde_json::Value;

struct Ran {
    ending: Ending,
    out: String,
    err: String,
}

fn demo(flags: &[&str]) -> Ran {
    let line = [&["edge-node", "demo"], flags]
        .concat()
        .into_iter()
        .map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ending = end(line, [], &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    Ran {
        ending,
        out: text(out),
        err: text(err),
    }
}

impl Ran {
    /// No promise was broken. Whether every target was met is the machine's business.
    fn kept_its_promises(&self) {
        let kept = matches!(self.ending, Ending::Well | Ending::Missed);
        assert!(kept, "{:?}\n{}{}", self.ending, self.out, self.err);
    }
}

fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("it can be written");
    path.display().to_string()
}

/// Four models on forty hosts, so that tasks meet each other.
fn hosts(name: &str) -> String {
    let row = |number: usize| format!("h{number},8,{}\n", ["T4", "G2", "P100", "A10"][number % 4]);
    file(
        name,
        &format!("sn,gpu,model\n{}", (0..40).map(row).collect::<String>()),
    )
}

fn tasks(name: &str, count: u32) -> String {
    let row = |number: u32| format!("t{number},{},{},{}\n", 1 + number % 3, number, number + 40);
    let header = "name,num_gpu,creation_time,deletion_time\n";
    file(
        name,
        &format!("{header}{}", (0..count).map(row).collect::<String>()),
    )
}

fn report(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("it was written")).expect("it is JSON")
}

#[test]
fn a_short_run_tells_the_truth_and_says_so_in_table_and_report() {
    let (hosts, tasks, to) = (
        hosts("calm-hosts.csv"),
        tasks("calm-tasks.csv", 60),
        file("calm.json", ""),
    );
    let ran = demo(&[
        "--hosts",
        &hosts,
        "--bookings",
        &tasks,
        "--nodes",
        "us-east=2,europe=1",
        "--duration",
        "1",
        "--report",
        &to,
    ]);
    ran.kept_its_promises();
    assert_eq!(ran.err, "", "{}", ran.out);
    assert!(
        ran.out.contains("L1 hit ratio") && ran.out.contains("double bookings"),
        "{}",
        ran.out
    );
    let report = report(&to);
    assert_eq!(
        (report["nodes"].as_u64(), report["gpus"].as_u64()),
        (Some(3), Some(320))
    );
    assert_eq!(report["bookings"]["won"].as_u64(), Some(120));
    assert_eq!(report["bookings"]["cancelled"].as_u64(), Some(120));
    assert_eq!(report["bookings"]["double"].as_u64(), Some(0));
    for path in [
        "/reads/total",
        "/staleness/checked",
        "/content/checked",
        "/propagation_ms/samples",
        "/events/applied",
    ] {
        assert!(
            report.pointer(path).and_then(Value::as_u64) > Some(0),
            "{path} in {report}"
        );
    }
    assert_eq!(
        report.pointer("/staleness/violations").and_then(Value::as_u64),
        Some(0)
    );
}

#[test]
fn a_short_run_tells_the_truth_on_a_bad_network_too() {
    let (hosts, tasks, to) = (
        hosts("storm-hosts.csv"),
        tasks("storm-tasks.csv", 60),
        file("storm.json", ""),
    );
    let ran = demo(&[
        "--hosts",
        &hosts,
        "--bookings",
        &tasks,
        "--nodes",
        "us-east=2,europe=1",
        "--duration",
        "2",
        "--faults",
        "--seed",
        "7",
        "--report",
        &to,
    ]);
    ran.kept_its_promises();
    assert_eq!(report(&to)["faults"].as_bool(), Some(true));
}

#[test]
fn without_files_a_market_is_generated() {
    let ran = demo(&["--nodes", "a=1", "--duration", "0.5"]);
    ran.kept_its_promises();
}

#[test]
fn bad_rows_are_told_with_their_lines_and_left_out() {
    let hosts = file(
        "rows-hosts.csv",
        "sn,gpu,model\nh0,8,T4\nh1,many,T4\nh2,2,T4\nh3,1,Z9\n",
    );
    let tasks = tasks("rows-tasks.csv", 3);
    let to = file("rows.json", "");
    let ran = demo(&[
        "--hosts",
        &hosts,
        "--bookings",
        &tasks,
        "--nodes",
        "a=1",
        "--duration",
        "0.5",
        "--report",
        &to,
    ]);
    ran.kept_its_promises();
    assert!(
        ran.err.contains("rows-hosts.csv: line 3: gpu is \"many\""),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("1 rows could not be read"), "{}", ran.err);
    assert!(ran.err.contains("nothing is known of model Z9"), "{}", ran.err);
    let report = report(&to);
    assert_eq!(
        (report["skipped_rows"].as_u64(), report["gpus"].as_u64()),
        (Some(1), Some(10))
    );
}

#[test]
fn a_run_without_anything_usable_is_refused_with_every_reason_and_prints_no_table() {
    let hosts = file(
        "unusable-hosts.csv",
        "sn,gpu,model\nh0,many,T4\nh1,0,T4\n\"h2,1,T4\n",
    );
    let tasks = file("unusable-tasks.csv", "name,num_gpu,num_gpu\nt0,1,1\n");
    let offers = file(
        "unusable-offers.csv",
        "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\nT4,1,1,free\n",
    );
    let ran = demo(&["--hosts", &hosts, "--bookings", &tasks, "--offers", &offers]);
    assert_eq!(
        (ran.ending, ran.out.as_str()),
        (Ending::Refused, ""),
        "{}",
        ran.err
    );
    for told in [
        "unusable-hosts.csv: line 2: gpu is \"many\", expected a number of GPUs up to 64; skipped",
        "unusable-hosts.csv: line 4: sn is \"\\\"h2,1,T4\", expected a closing quote",
        "unusable-offers.csv: line 2: price_per_hour_usd is \"free\"",
        "unusable-hosts.csv: has no host with GPUs; 2 rows could not be read",
        "unusable-tasks.csv: has the column num_gpu 2 times",
        "unusable-tasks.csv: has no column creation_time",
        "unusable-offers.csv: has no offer; 1 rows could not be read",
    ] {
        assert!(ran.err.contains(told), "{told}\n{}", ran.err);
    }
    let unknown = file("unknown-hosts.csv", "sn,gpu,model\nh0,8,Z9\n");
    let ran = demo(&["--hosts", &unknown]);
    assert_eq!((ran.ending, ran.out.as_str()), (Ending::Refused, ""));
    assert!(ran.err.contains("there is no GPU to offer"), "{}", ran.err);
}

#[test]
fn what_was_rounded_or_spelled_in_another_way_is_told() {
    let hosts = file("told-hosts.csv", "SN,GPU,MODEL\nh0,8,t4\nh1,8,T4\n");
    let offers = file(
        "told-offers.csv",
        "gpu_model,gpu_count,vram_mib_total,price_per_hour_usd\nT_4,1,1,0.1234567\n",
    );
    let tasks = tasks("told-tasks.csv", 3);
    let flags = ["--hosts", &hosts, "--offers", &offers, "--bookings", &tasks];
    let ran = demo(&[&flags[..], &["--nodes", "a=1", "--duration", "0.5"]].concat());
    ran.kept_its_promises();
    for told in [
        "told-hosts.csv: line 2: model \"t4\" is read as T4, in 1 row",
        "told-offers.csv: line 2: gpu_model \"T_4\" is read as T4, in 1 row",
        "told-offers.csv: line 2: price_per_hour_usd \"0.1234567\" is read as 0.123457 USD, rounded to six decimals",
    ] {
        assert!(ran.err.contains(told), "{told}\n{}", ran.err);
    }
}

#[test]
fn a_bad_file_is_refused_by_its_name() {
    let no_column = file("no-column.csv", "sn,model\nh0,T4\n");
    let ran = demo(&["--hosts", &no_column]);
    assert_eq!(ran.ending, Ending::Refused);
    assert!(
        ran.err.contains("no-column.csv: has no column gpu"),
        "{}",
        ran.err
    );
    let ran = demo(&["--offers", "no/such.csv"]);
    assert_eq!(ran.ending, Ending::Refused);
    assert!(ran.err.starts_with("no/such.csv: cannot be read"), "{}", ran.err);
    let ran = demo(&["--report", "no/such/folder/report.json"]);
    assert_eq!(ran.ending, Ending::Refused);
    assert!(ran.err.contains("report.json: cannot be written"), "{}", ran.err);
}

#[test]
fn a_request_for_what_is_not_offered_is_refused_and_one_for_help_is_not() {
    assert_eq!(demo(&["--frobnicate"]).ending, Ending::Refused);
    let help = demo(&["--help"]);
    assert_eq!(help.ending, Ending::Well);
    assert!(help.out.contains("--table"), "{}", help.out);
    for flag in [
        "--hosts",
        "--bookings",
        "--offers",
        "--nodes",
        "--duration",
        "--seed",
        "--faults",
        "--report",
    ] {
        assert!(help.out.contains(flag), "{flag}");
    }
}

#[test]
fn bookings_decided_in_a_file_are_kept_there_and_judged_as_well() {
    let store = format!("sqlite:{}", file("kept.db", ""));
    let path = store.trim_start_matches("sqlite:");
    std::fs::remove_file(path).expect("it was there");
    let json = file("kept.json", "");
    let flags = [
        "--nodes",
        "eu=2",
        "--duration",
        "1",
        "--hosts",
        &hosts("kept-hosts.csv"),
        "--bookings",
        &tasks("kept-tasks.csv", 60),
        "--report",
        &json,
        "--store",
        &store,
    ];
    let ran = demo(&flags);
    ran.kept_its_promises();
    let report = report(&json);
    assert_eq!(report["store"], "sqlite");
    assert_eq!(report["bookings"]["double"], 0);
    assert!(report["bookings"]["won"].as_u64() > Some(0));
    let again = demo(&flags);
    assert_eq!(again.ending, Ending::Refused);
    assert!(again.err.contains("holds bookings already"), "{}", again.err);
}

#[test]
fn only_a_server_is_migrated() {
    let line = ["edge-node", "migrate", "--store", "sqlite:a.db"].map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(end(line, [], &mut out, &mut err), Ending::Refused);
    let told = String::from_utf8(err).expect("it is text");
    assert!(told.contains("nothing to migrate in sqlite:a.db"), "{told}");
}

/// The program itself, and what it says on standard error until it runs.
#[cfg(unix)]
fn started(flags: &[&str]) -> std::process::Child {
    use std::io::{BufRead as _, BufReader};

    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_edge-node"));
    let mut child = program
        .args(["demo", "--nodes", "eu=2", "--duration", "600"])
        .args(flags)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(child.stderr.as_mut().expect("it is piped")).lines();
    assert!(
        said.any(|line| line.expect("it is text").starts_with("running for")),
        "it runs"
    );
    child
}

#[cfg(unix)]
fn signal(child: &std::process::Child, signal: &str) {
    let mut kill = std::process::Command::new("kill");
    let sent = kill.args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("a shell's kill").success());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_told_to_stop_ends_with_a_whole_report_whichever_signal_tells_it() {
    for (number, sent) in ["-TERM", "-INT"].into_iter().enumerate() {
        let (hosts, tasks, to) = (
            hosts(&format!("stopped-hosts-{number}.csv")),
            tasks(&format!("stopped-tasks-{number}.csv"), 60),
            file(&format!("stopped-{number}.json"), "an older report"),
        );
        let flags = ["--hosts", &hosts, "--bookings", &tasks, "--report", &to];
        let child = started(&flags);
        assert_eq!(
            std::fs::read_to_string(&to).unwrap(),
            "an older report",
            "not cut off"
        );
        signal(&child, sent);
        let ended = child.wait_with_output().expect("it ends");
        let table = String::from_utf8(ended.stdout).expect("it is text");
        assert!(table.contains("double bookings"), "{table}");
        // A run that was cut short may have missed a target.
        assert_ne!(ended.status.code(), Some(2), "it was carried out");
        assert_eq!(report(&to)["interrupted"], true);
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_leaves_an_older_report_as_it_was() {
    let to = file("killed.json", "an older report");
    let mut child = started(&["--report", &to]);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "an older report");
}
