//! The page, as text and in a real browser.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "runs/generate.rs"]
mod generate;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use generate::Scene;
use serde_json::{Value, json};
use xymonping_report::html::html;

const EXAMPLE: &str = include_str!("data/run.jsonl");

fn page(text: &str) -> String {
    html(&generate::runs(text))
}

fn generated(scene: &Scene) -> String {
    page(&generate::text(scene))
}

#[test]
fn the_page_needs_nothing_else_and_stands_without_a_script() {
    let page = page(EXAMPLE);
    for attribute in ["src=", "@import", "url(", "<link", "http://", "https://"] {
        let places = page
            .match_indices(attribute)
            .filter(|(place, _)| !page[*place..].starts_with("http://www.w3.org/2000/svg"));
        assert_eq!(places.count(), 0, "{attribute}");
    }
    let table = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    let order: Vec<_> =
        ["192.0.2.9", "2001:db8::1", "192.0.2.1"].map(|target| table.find(&format!(">{target}<")).unwrap()).to_vec();
    assert!(order.is_sorted(), "the worst come first: {table}");
    for text in ["unreachable: host-unreachable from 198.51.100.1", "unsent: ENETUNREACH", ">100 %<", ">0.365<"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    for text in ["Warning: could not send", "Rejected: line 4: 10.0.0: no address"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn names_are_text_wherever_they_stand() {
    let odd = r"</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>&amp;";
    let page = page(&EXAMPLE.replace("old printer", odd));
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<!--"), "{page}");
}

/// What the script gives when it runs in this page, in a browser; none without a browser.
fn run(page: &str, script: &str, name: &str) -> Option<Value> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let script = format!(
        "<script>addEventListener(\"load\",()=>{{const result=(()=>{{{script}}})();const made=document.createElement(\"pre\");made.id=\"result\";made.textContent=JSON.stringify(result);document.body.replaceChildren(made)}})</script></body>"
    );
    fs::write(dir.join("page.html"), page.replace("</body>", &script)).unwrap();
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
    ]);
    command.arg(format!("--user-data-dir={}", dir.join("profile").display()));
    command.arg(format!("file://{}", dir.join("page.html").display()));
    let output = match command.output() {
        Ok(output) => output,
        Err(e) => {
            let reason = format!("SKIPPED {name}: cannot run `chromium`: {e}\n");
            io::stderr().write_all(reason.as_bytes()).unwrap();
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let console: Vec<_> = said.lines().filter(|line| line.contains(":CONSOLE")).collect();
    assert_eq!(console, [] as [&str; 0]);
    let dom = String::from_utf8_lossy(&output.stdout);
    let result = dom.split("<pre id=\"result\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let result = result.unwrap_or_else(|| panic!("no result: {said}"));
    Some(serde_json::from_str(&result.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap())
}

const HELPERS: &str = r##"
    const all = (what) => [...document.querySelectorAll(what)];
    const rows = () => all("#targets tbody tr").filter((row) => !row.hidden);
    const first = () => rows()[0].cells[0].textContent;
    const head = (name) => all("th button").find((button) => button.textContent === name);
    const filter = (text) => {
        const field = document.getElementById("filter");
        field.value = text;
        field.dispatchEvent(new Event("input"));
        return rows().length;
    };
"##;

#[test]
fn the_page_sorts_filters_and_shows_details_in_a_browser() {
    let script = format!(
        r##"{HELPERS}
        const sorted = [];
        for (const name of ["min", "min", "target", "state"]) {{ head(name).click(); sorted.push(first()); }}
        const direction = head("state").parentElement.getAttribute("aria-sort");
        const filtered = [filter("old PRINTER"), filter("loss>50"), filter("p90<0.5 web"), filter("nonsense"), filter("")];
        const state = document.getElementById("state");
        state.value = "unsent";
        state.dispatchEvent(new Event("change"));
        filtered.push(rows().length);
        state.value = "";
        state.dispatchEvent(new Event("change"));
        const link = all("td a").find((link) => link.textContent === "192.0.2.1");
        link.click();
        const details = document.querySelector("tr.details");
        const shown = [link.getAttribute("aria-expanded"), details.querySelector("h2").textContent, details.querySelectorAll("rect").length > 0];
        const jitter = [...details.querySelectorAll("dt")].find((key) => key.textContent === "jitter").nextSibling.textContent;
        document.dispatchEvent(new KeyboardEvent("keydown", {{ key: "Escape" }}));
        const closed = [all("tr.details").length, document.activeElement === link];
        const back = () => getComputedStyle(document.documentElement).backgroundColor;
        const colours = [back()];
        document.getElementById("theme").click();
        colours.push(back());
        return {{ sorted, direction, filtered, shown, jitter, closed, dark: colours[0] !== colours[1] }};"##
    );
    if let Some(result) = run(&page(EXAMPLE), &script, "the_page_in_a_browser") {
        let expected = json!({
            "sorted": ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"],
            "direction": "ascending",
            "filtered": [1, 1, 1, 0, 3, 1],
            "shown": ["true", "192.0.2.1 web01", true],
            "jitter": "183 µs",
            "closed": [0, true],
            "dark": true,
        });
        assert_eq!(result, expected);
    }
}

#[test]
fn a_page_of_10000_targets_works_in_a_browser() {
    let page = generated(&Scene { label: 60, ..Scene::new(10_000, 4) });
    let script = format!(
        r##"{HELPERS}
        const times = [performance.now()];
        const time = () => times.push(performance.now());
        document.body.offsetHeight; time();
        head("max").click(); document.body.offsetHeight; time();
        const sorted = first();
        const found = filter("router 10.0.1."); document.body.offsetHeight; time();
        const all_again = filter(""); document.body.offsetHeight; time();
        const longest = Number(document.querySelector("tbody tr").cells[head("max").parentElement.cellIndex].textContent);
        return {{ rows: all_again, found, longest: longest > 1000, sorted: sorted.length > 0, times }};"##
    );
    if let Some(mut result) = run(&page, &script, "the_page_of_10000_targets_in_a_browser") {
        let times = format!("ms to load, lay out, sort, filter, show all: {}\n", result["times"]);
        io::stderr().write_all(times.as_bytes()).unwrap();
        result.as_object_mut().unwrap().remove("times");
        assert_eq!(result, json!({ "rows": 10_000, "found": 214, "longest": true, "sorted": true }));
    }
}
