//! The tools of those who read the records: jq, a JSON Schema validator of another language,
//! pandas. A tool that is not there is no failure; the reason is printed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::lab::{self, Answer, Behaviour, IcmpError, piped, python};

/// Records of all kinds of targets, with packets.
fn output(lab: &lab::Lab) -> String {
    lab.host("10.0.0.2", Behaviour::silent());
    lab.host("10.0.0.3", Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)));
    let args = ["--json=packets", "--timeout=0.5", "--retries=1", "--max-pps=500"];
    let outcome = lab.run(&args, "10.0.0.1 B\u{fc}ro\n10.0.0.2\n10.0.0.3\n10.0.0\n");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout
}

#[test]
fn jq_reads_the_records() {
    lab::play(|lab| {
        let mut jq = Command::new("jq");
        jq.args(["-r", "select(.type == \"target\") | [.target, .label, .state, .icmp_name] | @tsv"]);
        let Some(table) = piped(jq, &output(lab)) else {
            return lab::report_skipped("jq_reads_the_records", "no jq");
        };
        let expected = "10.0.0.1\tB\u{fc}ro\talive\t\n\
                        10.0.0.2\t\tunreachable\t\n\
                        10.0.0.3\t\tunreachable\thost-unreachable\n";
        assert_eq!(table, expected);
    });
}

#[test]
fn another_validator_accepts_the_records_and_refuses_others() {
    lab::play(|lab| {
        let Some(mut python) = python("jsonschema") else {
            let why = "no Python with jsonschema";
            return lab::report_skipped("another_validator_accepts_the_records_and_refuses_others", why);
        };
        const SCRIPT: &str = "\
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for line in sys.stdin:
    record = json.loads(line)
    validator.validate(record)
    for key, wrong in [('type', 'other'), ('target', 1), ('state', 'up'), ('sent', '1'), ('time', 'now')]:
        assert key not in record or not validator.is_valid({**record, key: wrong}), (key, record)
    for key in record:
        less = {k: v for k, v in record.items() if k != key}
        assert key.startswith('rtt_p') or not validator.is_valid(less), (key, record)
print('valid')
";
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/run.schema.json");
        assert!(fs::exists(&schema).unwrap());
        python.args(["-c", SCRIPT]).arg(schema);
        assert_eq!(piped(python, &output(lab)).as_deref(), Some("valid\n"));
    });
}

#[test]
fn pandas_reads_the_records() {
    lab::play(|lab| {
        let Some(mut python) = python("pandas") else {
            return lab::report_skipped("pandas_reads_the_records", "no Python with pandas (see XYMONPING_PYTHON)");
        };
        const SCRIPT: &str = "\
import sys, pandas
frame = pandas.read_json(sys.stdin, lines=True)
targets = frame[frame.type == 'target']
print(list(targets.state), list(targets.lost.astype(int)))
rtt = pandas.to_timedelta(targets.rtt_mean_ns, 'ns')
print(rtt.notna().sum(), (rtt.dropna() > pandas.Timedelta(0)).all())
";
        python.args(["-c", SCRIPT]);
        let expected = "['alive', 'unreachable', 'unreachable'] [0, 2, 2]\n1 True\n";
        assert_eq!(piped(python, &output(lab)).as_deref(), Some(expected));
    });
}
