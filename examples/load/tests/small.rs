//! A small load against a server of its own: everybody hears and sees everybody, and nothing is lost.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn a_small_load_is_carried_without_loss() {
    let figures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("small.json");
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    load.args([
        "--rooms",
        "3",
        "--participants",
        "8",
        "--duration",
        "3",
        "--warm-up",
        "1",
        "--strict",
        "--json",
    ]);
    // With the whole workspace cargo has built the server beside it, for the server's own tests; to build it alone
    // would be to build it again, with other features. Without it cargo builds it, as under `cargo run`.
    let server = Path::new(env!("CARGO_BIN_EXE_load")).with_file_name("conference");
    if server.with_extension(std::env::consts::EXE_EXTENSION).exists() {
        load.env_remove("CARGO");
    } else {
        load.env("CARGO", env!("CARGO"));
    }
    let output = load.arg(&figures).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));

    let text = std::fs::read_to_string(&figures).expect("figures");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let count = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).expect(pointer);
    assert_eq!(report["failures"], serde_json::json!({}), "{told}");
    assert_eq!((count("/unheard"), count("/lost"), count("/unread")), (0, 0, 0), "{told}");
    assert_eq!(count("/connecting/count"), 8, "{told}");
    // Rooms of three, three and two: whoever does not come first.
    assert_eq!(count("/first_media/count"), 5, "{told}");
    assert!(count("/audio/count") > 100 && count("/video/count") > 300, "{told}");
}
