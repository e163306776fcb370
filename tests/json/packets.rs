//! `--json=packets`: a record for each packet, as it comes.

use serde_json::json;

use crate::lab::{self, Answer, Behaviour, IcmpError, LIMIT, Lose, ms};
use crate::{of_type, records, values};

#[test]
fn each_packet_has_its_record() {
    lab::play(|lab| {
        let twice = Behaviour { copies: 2, gap: ms(20), ttl: 60, ..Behaviour::default() };
        lab.script("10.0.0.1", vec![Behaviour::silent(), twice]);
        lab.host("10.0.0.2", Behaviour::answering(Answer::Error(IcmpError::TimeExceeded)));
        lab.host("10.0.0.3", Behaviour { lose: Lose::First(1), ..Behaviour::answering(Answer::FlippedByte(20)) });
        // Fragmentation needed, with an MTU, quoting the probe's header and 8 bytes.
        lab.ip(&["route", "add", "prohibit", "10.0.0.5/32"]);
        let args = ["--json=packets", "--timeout=1", "--retries=1", "--max-pps=500"];
        let outcome = lab.run(&args, "10.0.0.1 web\n10.0.0.2\n10.0.0.3\n10.0.0.5\n10.0.0.4\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let records = records(&outcome);
        assert_eq!(records[0]["targets"], 5);
        let of_target = |target: &str| {
            let packets = records.iter().filter(|record| record["target"] == target && record["type"] != "target");
            packets
                .map(|record| (record["type"].as_str().unwrap(), record["probe"].as_u64().unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(of_target("10.0.0.1"), [("timeout", 0), ("reply", 1), ("duplicate", 1)]);
        assert_eq!(of_target("10.0.0.2"), [("icmp-error", 0), ("timeout", 0), ("icmp-error", 1), ("timeout", 1)]);
        assert_eq!(of_target("10.0.0.3"), [("timeout", 0), ("damaged", 1), ("timeout", 1)]);
        assert_eq!(of_target("10.0.0.4"), [("reply", 0)]);
        let refused = of_target("10.0.0.5");
        assert!(!refused.is_empty() && refused.iter().all(|&packet| packet == ("send-error", 0)), "{refused:?}");
        let [reply, _] = of_type(&records, "reply")[..] else { panic!("{records:?}") };
        let reply = if reply["probe"] == 1 { reply } else { of_type(&records, "reply")[1] };
        assert_eq!(
            values(reply, ["target", "label", "bytes", "ttl", "from"]),
            [json!("10.0.0.1"), json!("web"), json!(64), json!(60), json!(null)]
        );
        let seq = lab.seen_of("10.0.0.1")[1].seq;
        assert_eq!(reply["seq"], seq);
        let target = of_type(&records, "target")[0];
        assert_eq!(values(target, ["rtt_mean_ns"]), values(reply, ["rtt_ns"]));
        assert_eq!(
            values(
                of_type(&records, "icmp-error")[0],
                ["icmp_type", "icmp_code", "icmp_name", "icmp_from", "icmp_mtu"]
            ),
            [json!(11), json!(0), json!("ttl-exceeded"), json!("192.0.2.254"), json!(null)]
        );
        let error = of_type(&records, "send-error")[0];
        assert_eq!(values(error, ["errno", "errno_name"]), [json!(13), json!("EACCES")]);
    });
}

#[test]
fn records_of_packets_come_as_they_happen() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--json=packets", "--timeout=60", "10.0.0.1", "10.0.0.2"]));
        running.wait_until(LIMIT, "the reply", |running| running.stdout_so_far().contains("\"type\":\"reply\""));
        assert!(!running.stdout_so_far().contains("\"type\":\"target\""));
        running.signal(nix::sys::signal::Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, of_type(&records(&outcome), "target").len()), (Some(4), 2), "{outcome:?}");
    });
}
