//! The conference server: one of our own that ends with us, or one that runs already.

use crate::options::Options;
use crate::signalling::Door;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Server {
    pub door: Door,
    /// Its process, if that is known.
    pub pid: Option<u32>,
    child: Option<Child>,
}

impl Server {
    /// The server that the options name, or one of our own.
    pub fn of(options: &Options) -> Result<Server, String> {
        let Some(url) = &options.server else { return Server::start(options) };
        let authority = url.strip_prefix("http://").ok_or("--server takes a URL that begins with http://")?;
        let door = Door { authority: authority.trim_end_matches('/').into(), token: options.token.clone() };
        Ok(Server { door, pid: options.pid, child: None })
    }

    fn start(options: &Options) -> Result<Server, String> {
        let program = program()?;
        let largest = options.participants.div_ceil(options.rooms).max(2);
        let mut command = Command::new(&program);
        // Over loopback alone, and with room for all.
        command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--carriers", "udp"]);
        command.args(["--room-size", &largest.to_string()]);
        command.args(["--max-participants", &options.participants.to_string()]);
        command.args(["--max-rooms", &options.rooms.to_string()]);
        command.args(options.engines.iter().flat_map(|engines| ["--engines".into(), engines.to_string()]));
        command.envs(options.token.iter().map(|token| ("WHIP_TOKEN", token)));
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut server = Server {
            door: Door { authority: String::new(), token: options.token.clone() },
            pid: Some(child.id()),
            child: Some(child),
        };
        let output = server.child.as_mut().and_then(|child| child.stdout.take()).ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        let port = line.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next());
        let port = port.ok_or_else(|| format!("the server does not tell its address: {line}"))?;
        server.door.authority = format!("127.0.0.1:{port}");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to save.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The server's program, which lies beside ours. Under cargo it is built first, so that it is the one whose
/// sources are there.
fn program() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().ok_or("a program without a folder")?;
    let program = folder.join(format!("conference{}", env::consts::EXE_SUFFIX));
    if let Some(cargo) = env::var_os("CARGO") {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "conference", "--profile", profile]);
        build.arg("--target-dir").args(folder.parent());
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = build.status().map_err(|error| format!("cannot build the server: {error}"))?;
        if !built.success() {
            return Err("the server does not build".into());
        }
    }
    if !program.exists() {
        let missing = program.display();
        return Err(format!("{missing} is not there: build it with `cargo build --release -p conference`"));
    }
    Ok(program)
}
