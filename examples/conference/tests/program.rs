//! The program as people start it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_conference"));
    program
        .args(args)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    program
}

#[test]
fn it_tells_an_address_at_which_the_page_is() {
    let child = program(&["--listen", "127.0.0.1:0"]).spawn().expect("it starts");
    let mut server = Server(child);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address =
        line.trim().strip_prefix("Open http://").and_then(|rest| rest.strip_suffix("/ in a browser."));
    let mut stream = TcpStream::connect(address.unwrap_or_else(|| panic!("{line}"))).expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<!doctype html>"), "{page}");
}

#[test]
fn what_it_cannot_do_it_says_and_ends() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    for (args, says) in [
        (&["--listen", &address][..], "cannot listen on"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "/missing", "--tls-key", "/missing"], "/missing"),
        (&["--nonsense"], "unexpected argument"),
    ] {
        let output = program(args).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(says), "{args:?}: {told}");
    }
}
