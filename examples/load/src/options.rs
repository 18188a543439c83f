//! The command line.

use clap::Parser;
use std::num::NonZeroU16;
use std::path::PathBuf;

/// Calls by the hundred for the conference server: real ICE, DTLS and SRTP over loopback, sound that is
/// sometimes speech and mostly silence, cameras with three encodings. Tells what was forwarded, how late it
/// came, what was lost, and what it cost.
#[derive(Debug, Clone, Parser)]
#[command(version, about)]
pub struct Options {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = positive)]
    pub rooms: usize,

    /// Participants, spread evenly over the rooms
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = positive)]
    pub participants: usize,

    /// Participants of each room that send video; everybody sends sound
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cameras: usize,

    /// How high pictures are that participants wish for: those of a page with four tiles have 360 lines, and
    /// cameras send 720 at most
    #[arg(long, value_name = "LINES", default_value_t = 360)]
    pub max_height: u16,

    /// Seconds that are measured, from when all are there
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub duration: u64,

    /// Seconds between the last one's coming and the first that is measured: until rates have settled
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub warm_up: u64,

    /// Participants that come in a second
    #[arg(long, value_name = "N", default_value_t = 50.0, value_parser = rate)]
    pub join_rate: f64,

    /// Threads that participants are on [default: one per core]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,

    /// A server that runs already, instead of one of our own
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// The process of that server, for its figures
    #[arg(long, value_name = "PID", requires = "server")]
    pub pid: Option<u32>,

    /// The bearer token that the server wants of those who make rooms; better set in the environment, as the
    /// server's own is
    #[arg(long, value_name = "TOKEN", env = "WHIP_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// Engines of our own server [default: one per core]
    #[arg(long, value_name = "N", conflicts_with = "server")]
    pub engines: Option<NonZeroU16>,

    /// Draws what happened to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Writes the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Decides who speaks when, and sizes of pictures
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Fails if a packet was lost
    #[arg(long)]
    pub strict: bool,
}

fn positive(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("a number above 0")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate: &f64| rate.is_normal() && *rate > 0.0).ok_or("a number above 0")
}

impl Options {
    /// What clap cannot tell by itself.
    pub fn check(&self) -> Result<(), String> {
        let room_size = self.participants.div_ceil(self.rooms);
        if self.participants < self.rooms {
            return Err("--participants: at least one for each room".into());
        }
        if self.server.is_none() && (room_size > 50 || self.participants.max(self.rooms) > 65_535) {
            return Err("the server takes at most 50 participants in a room and 65,535 in all".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_takes_a_second_at_least() {
        let duration =
            |text| Options::try_parse_from(["load", "--duration", text]).map(|options| options.duration);
        assert_eq!(duration("1").ok(), Some(1));
        assert!(duration("0").is_err());
    }

    #[test]
    fn the_token_may_stand_in_the_environment_and_is_not_shown() {
        let command = <Options as clap::CommandFactory>::command();
        let token = command.get_arguments().find(|option| option.get_id() == "token").expect("option");
        assert_eq!(token.get_env(), Some("WHIP_TOKEN".as_ref()));
        assert!(token.is_hide_env_values_set(), "nor by --help");
    }
}
