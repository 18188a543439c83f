//! What is said over the WebSocket: as much of the page's messages as a call needs.

use serde::{Deserialize, Serialize};

/// To the server.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request<'a> {
    Join { code: &'a str, name: &'a str },
    Offer { sdp: &'a str },
    Answer { sdp: &'a str },
    Wishes { list: Vec<Wish> },
}

/// How large a video is shown, by its name in the server's description.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    pub track: String,
    pub max_height: u16,
}

impl Request<'_> {
    pub fn text(&self) -> String {
        // Strings and numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// From the server.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Reply {
    /// In the room; `id` names the participant's streams to the others.
    Joined {
        id: String,
    },
    Refused,
    Offer {
        sdp: String,
    },
    Answer {
        sdp: String,
    },
    Ended {
        reason: String,
    },
    /// Who else is there and the like: not needed for a call.
    #[serde(other)]
    Other,
}

/// The answer to `POST /rooms`.
#[derive(Deserialize)]
pub struct Room {
    pub code: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_page() {
        let join = Request::Join { code: "c", name: "n" };
        assert_eq!(join.text(), r#"{"type":"join","code":"c","name":"n"}"#);
        let list = vec![Wish { track: "p3/s1".into(), max_height: 360 }];
        let wishes = r#"{"type":"wishes","list":[{"track":"p3/s1","maxHeight":360}]}"#;
        assert_eq!(Request::Wishes { list }.text(), wishes);
        let joined = serde_json::from_str(r#"{"type":"joined","code":"c","id":"p3"}"#);
        assert_eq!(joined.ok(), Some(Reply::Joined { id: "p3".into() }));
        let others = serde_json::from_str(r#"{"type":"participants","list":[{"id":"p3"}]}"#);
        assert_eq!(others.ok(), Some(Reply::Other));
    }
}
