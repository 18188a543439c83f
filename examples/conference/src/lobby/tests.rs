mod limits;

use super::*;
use crate::message::{Id, Inbox, Invite, Post, Ticket, tidy_name};
use serde_json::Value;
use std::collections::HashSet;
use tokio::sync::mpsc::Receiver;

const SMALL: Limits = Limits { room_size: 2, participants: 3, rooms: 2 };
const ROOMY: Limits = Limits { room_size: 8, participants: 100, rooms: 4 };

/// Somebody in a room or at its door.
struct Guest {
    seat: Seat,
    inbox: Inbox,
    /// Whether it was let in, as far as it has heard.
    admitted: bool,
}

impl Guest {
    fn label(&self) -> Label {
        self.seat.label
    }

    fn id(&self) -> Id {
        Id(self.label())
    }

    /// What it was told since the last time.
    fn hears(&mut self) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Ok(post) = self.inbox.queue.try_recv() {
            match post {
                Post::Admitted => self.admitted = true,
                Post::Text(text) => heard.push(serde_json::from_str(&text).expect("a message")),
            }
        }
        heard
    }

    /// The last message of a type since the last time.
    fn last(&mut self, kind: &str) -> Value {
        self.hears().into_iter().rfind(|message| message["type"] == kind).unwrap_or_default()
    }

    fn is_closed(&self) -> bool {
        let mut closed = Box::pin(self.inbox.closed.notified());
        closed.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    fn act(&self, act: Act) {
        assert_eq!(self.seat.act(act), Ok(()));
    }
}

struct House {
    lobby: Arc<Lobby>,
    engines: Vec<Receiver<Command>>,
}

impl House {
    fn new(limits: Limits) -> House {
        let (engines, commands) = (0..2).map(|_| Engine::channel()).unzip();
        House { lobby: Lobby::new(limits, engines), engines: commands }
    }

    fn enter(&self, door: Door, name: &str) -> Result<Guest, Refused> {
        self.enter_from(door, name, [192, 0, 2, 1].into())
    }

    fn enter_from(&self, door: Door, name: &str, source: IpAddr) -> Result<Guest, Refused> {
        let (outbox, inbox) = Outbox::new();
        let seat = self.lobby.enter(door, source, tidy_name(name), &outbox)?;
        Ok(Guest { seat, inbox, admitted: false })
    }

    /// Who makes a room, and the room's code and secret.
    fn made(&self, options: Options) -> (Guest, Code, Code) {
        let mut ada = self.enter(Door::New { options, encrypted: false }, "Ada").expect("a room");
        let heard = ada.hears();
        let of = |kind: &str, field: &str| -> Code {
            let message = heard.iter().find(|message| message["type"] == kind).expect("told");
            message[field].as_str().expect("text").parse().expect("a code")
        };
        let (code, secret) = (of("joined", "code"), of("secret", "secret"));
        (ada, code, secret)
    }

    fn come(&self, code: Code, name: &str) -> Result<Guest, Refused> {
        self.enter(by(code), name)
    }

    /// Whom engines were told to drop since the last time.
    fn left(&mut self) -> Vec<Label> {
        let commands = self.engines.iter_mut().flat_map(|queue| std::iter::from_fn(|| queue.try_recv().ok()));
        let labels = commands.filter_map(|command| match command {
            Command::Leave { label } => Some(label),
            _ => None,
        });
        labels.collect()
    }
}

fn keys(code: Code) -> Keys {
    Keys { waits: true, ..Keys::at_once(code) }
}

fn by(code: Code) -> Door {
    Door::Existing(keys(code), Plan::default())
}

fn with_secret(code: Code, secret: Code) -> Door {
    Door::Existing(Keys { secret: Some(secret), ..keys(code) }, Plan::default())
}

/// A room of one's own.
fn open_door() -> Door {
    Door::New { options: Options::default(), encrypted: false }
}

fn seat_in(joined: &Value) -> Code {
    joined["seat"].as_str().expect("a seat").parse().expect("a code")
}

fn back(code: Code, seat: Code) -> Door {
    Door::Resumed(Keys { seat: Some(seat), ..keys(code) }, Plan::default())
}

fn options(lobby: bool, locked: bool) -> Options {
    Options { lobby, locked }
}

fn names(list: &Value) -> Vec<&str> {
    list["list"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["name"].as_str().expect("text"))
        .collect()
}

/// The code of the only invitation, as a moderator was told.
fn invitation(moderator: &mut Guest) -> Code {
    let list = moderator.last("invitations");
    list["list"][0]["code"].as_str().expect("an invitation").parse().expect("a code")
}

fn random() -> Code {
    Code::random().expect("generator")
}

#[test]
fn s_room_01_wrong_full_locked_expired_and_revoked_look_alike() {
    let house = House::new(SMALL);
    let (secret, invited) = (random(), random());
    let code = secret.code();
    let ticket =
        Ticket { code: String::new(), secret: invited.to_string(), seconds: 1, uses: None, direct: true };
    let plan = Plan { lobby: false, invitations: vec![ticket], ..Plan::default() };
    let moderator = Keys { secret: Some(secret), ..keys(code) };
    let mut ada = house.enter(Door::Existing(moderator, plan), "Ada").expect("made again");
    drop(house.come(invited.code(), "Eve").expect("a place"));
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(house.come(invited.code(), "Eve").err(), Some(Refused), "expired");
    assert_eq!(house.come(random(), "Eve").err(), Some(Refused), "unknown");
    ada.act(Act::Invite(Invite { minutes: 10, uses: None, direct: true }));
    let revoked = invitation(&mut ada);
    ada.act(Act::Revoke { code: revoked.to_string() });
    assert_eq!(house.come(revoked, "Eve").err(), Some(Refused), "revoked");
    ada.act(Act::Options(options(false, true)));
    assert_eq!(house.come(code, "Eve").err(), Some(Refused), "locked");
    ada.act(Act::Options(options(false, false)));
    let _bob = house.come(code, "Bob").expect("a place");
    assert_eq!(house.come(code, "Eve").err(), Some(Refused), "full");
    assert_eq!(
        house.enter(with_secret(code, random()), "Eve").err(),
        Some(Refused),
        "full, with a wrong secret"
    );
    assert_eq!(house.lobby.refusals(), 6);
}

#[test]
fn s_room_01_after_too_many_tries_the_right_code_is_refused_like_a_wrong_one() {
    let house = House::new(ROOMY);
    let (_ada, code, _) = house.made(Options::default());
    let (guesser, other) = ([198, 51, 100, 7].into(), [198, 51, 100, 8].into());
    for _ in 0..100 {
        assert_eq!(house.enter_from(by(random()), "Eve", guesser).err(), Some(Refused));
    }
    assert_eq!(house.enter_from(by(code), "Eve", guesser).err(), Some(Refused));
    assert_eq!(house.lobby.knock(code, guesser), Err(Refused), "nor by WHIP");
    assert!(house.enter_from(by(code), "Bob", other).is_ok());
    assert!(house.enter_from(open_door(), "Eve", guesser).is_ok(), "no code is tried");
}

#[test]
fn s_room_01_who_guesses_does_not_keep_out_who_was_given_a_place_or_the_secret() {
    let house = House::new(ROOMY);
    let (ada, code, secret) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    let seat = seat_in(&bob.last("joined"));
    drop((ada, bob));
    (0..100).for_each(|_| house.lobby.note_nonsense([192, 0, 2, 1].into()));
    assert_eq!(house.come(code, "Eve").err(), Some(Refused), "from their address");
    assert_eq!(house.enter(back(code, random()), "Eve").err(), Some(Refused), "nobody's place");
    assert!(house.enter(back(code, seat), "Bob").is_ok());
    assert!(house.enter(with_secret(code, secret), "Ada").is_ok());
}

#[test]
fn s_room_01_a_wrong_secret_is_a_guess_and_counts_as_none() {
    let house = House::new(ROOMY);
    let (ada, code, _) = house.made(Options::default());
    let wrong = || with_secret(code, random());
    let mut eve = house.enter(wrong(), "Eve").expect("a place");
    assert_eq!(eve.last("participants")["list"][1]["moderator"], false);
    assert_eq!(eve.seat.act(Act::End), Err(Denied::Moderators));
    assert_eq!(house.lobby.refusals(), 0);
    ada.act(Act::Options(options(true, false)));
    assert_eq!(house.enter(wrong(), "Eve").expect("waits").last("waits")["moderator"], true);
    let tries = (0..100).take_while(|_| house.enter(wrong(), "Eve").is_ok()).count();
    assert!(tries < 20, "{tries}");
}

#[test]
fn s_room_04_who_waits_is_told_so_and_is_seen_by_moderators_alone() {
    let mut house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    ada.act(Act::Options(options(true, false)));
    ada.hears();
    bob.hears();
    let mut eve = house.come(code, "Eve").expect("waits");
    let heard = eve.hears();
    assert!(!eve.admitted, "the engine is not told");
    assert_eq!(heard.len(), 1, "no list of anybody: {heard:?}");
    assert_eq!((&heard[0]["type"], &heard[0]["moderator"]), (&"waits".into(), &true.into()));
    assert_eq!(names(&ada.last("waiting")), ["Eve"]);
    assert!(bob.hears().is_empty());
    // Nothing it does has any effect.
    assert_eq!(eve.seat.act(Act::Hand { up: true }), Err(Denied::Moderators));
    assert_eq!(eve.seat.act(Act::Admit { id: None }), Err(Denied::Moderators));
    eve.seat.show(Shown { audio: true, ..Shown::default() });
    assert!(bob.hears().is_empty() && !eve.admitted);

    ada.act(Act::Admit { id: Some(eve.id()) });
    assert_eq!(eve.hears()[0]["type"], "joined");
    assert!(eve.admitted);
    assert_eq!(names(&bob.last("participants")), ["Ada", "Bob", "Eve"]);
    assert_eq!(names(&ada.last("waiting")), [""; 0]);
    assert!(house.left().is_empty());
}

#[test]
fn who_waits_is_turned_away_and_may_ask_again() {
    let house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(options(true, false));
    let mut eve = house.come(code, "Eve").expect("waits");
    ada.act(Act::Decline { id: Some(eve.id()) });
    assert_eq!(eve.last("closed")["why"], "declined");
    assert!(eve.is_closed());
    let mut again = [house.come(code, "Eve").expect("waits"), house.come(code, "Kim").expect("waits")];
    assert_eq!(names(&ada.last("waiting")), ["Eve", "Kim"]);
    ada.act(Act::Admit { id: None });
    again.iter_mut().for_each(|guest| assert_eq!(guest.hears()[1]["type"], "joined"));
}

#[test]
fn a_lobby_is_bounded_and_says_whether_a_moderator_is_there() {
    let house = House::new(ROOMY);
    let (ada, code, _) = house.made(options(true, false));
    let mut guests: Vec<Guest> =
        (0..room::WAITING).map(|_| house.come(code, "Eve").expect("waits")).collect();
    assert_eq!(house.come(code, "Eve").err(), Some(Refused));
    guests[0].hears();
    drop(ada);
    assert_eq!(guests[0].last("waits")["moderator"], false);
    guests.pop();
    let mut last = house.come(code, "Eve").expect("waits");
    assert_eq!(last.last("waits")["moderator"], false);
}

#[test]
fn without_a_lobby_those_in_it_come_in_as_far_as_there_are_places() {
    let house = House::new(Limits { room_size: 2, ..ROOMY });
    let (ada, code, _) = house.made(options(true, false));
    let [mut bob, mut eve] = ["Bob", "Eve"].map(|name| house.come(code, name).expect("waits"));
    ada.act(Act::Options(options(false, false)));
    assert_eq!(bob.last("participants")["list"].as_array().map(Vec::len), Some(2));
    assert!(eve.hears().iter().all(|message| message["type"] == "waits"));
    assert_eq!(ada.seat.act(Act::Admit { id: Some(eve.id()) }), Err(Denied::Full));
    drop(bob);
    ada.act(Act::Admit { id: Some(eve.id()) });
    eve.hears();
    assert!(eve.admitted);
}

#[test]
fn an_invitation_is_a_code_of_its_own_and_leads_past_the_lobby_if_it_says_so() {
    let house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(options(true, false));
    ada.act(Act::Invite(Invite { minutes: 10, uses: Some(1), direct: true }));
    let direct = invitation(&mut ada);
    assert_ne!(direct, code);
    let mut bob = house.come(direct, "Bob").expect("a place");
    let joined = bob.last("joined");
    assert!(bob.admitted);
    // The guest is not told the room's code.
    assert_eq!((&joined["code"], &joined["invited"]), (&direct.to_string().into(), &true.into()));
    assert_eq!(house.come(direct, "Eve").err(), Some(Refused), "it is used up");
    // A connection that is lost is no use of it.
    drop(bob);
    let mut bob = house.enter(back(direct, seat_in(&joined)), "Bob").expect("his place");
    assert_eq!(bob.last("joined")["code"], direct.to_string());

    ada.act(Act::Invite(Invite { minutes: 10, uses: None, direct: false }));
    let through = invitation(&mut ada);
    let mut eve = house.come(through, "Eve").expect("waits");
    assert_eq!(eve.last("waits")["moderator"], true);
    ada.act(Act::Revoke { code: through.to_string() });
    assert_eq!(eve.last("closed")["why"], "declined");
}

#[test]
fn who_is_no_moderator_is_denied_and_nothing_changes() {
    let mut house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    ada.hears();
    bob.hears();
    let id = ada.id();
    for act in [
        Act::Options(options(true, true)),
        Act::Invite(Invite { minutes: 1, uses: None, direct: true }),
        Act::Revoke { code: code.to_string() },
        Act::Admit { id: None },
        Act::Decline { id: None },
        Act::Mute { id: Some(id) },
        Act::Lower { id },
        Act::Remove { id },
        Act::Promote { id: bob.id() },
        Act::End,
    ] {
        assert_eq!(bob.seat.act(act), Err(Denied::Moderators));
    }
    assert!(ada.hears().is_empty() && bob.hears().is_empty());
    assert!(house.left().is_empty());
}

#[test]
fn s_room_03_a_removed_participant_leaves_the_engine_at_once_and_comes_back_only_by_admission() {
    let mut house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let mut eve = house.come(code, "Eve").expect("a place");
    let joined = eve.last("joined");
    ada.act(Act::Remove { id: eve.id() });
    assert_eq!(house.left(), [eve.label()], "before the page hears of it");
    assert_eq!(eve.last("closed")["why"], "removed");
    assert!(eve.is_closed());
    assert_eq!(names(&ada.last("participants")), ["Ada"]);
    // What it does until its connection ends is nobody's act.
    assert_eq!(eve.seat.act(Act::Hand { up: true }), Err(Denied::Moderators));
    drop(eve);
    // Neither its place nor the code lets it in.
    let mut eve = house.enter(back(code, seat_in(&joined)), "Eve").expect("waits");
    assert_eq!(eve.last("waits")["moderator"], true);
    assert!(!eve.admitted);
    ada.act(Act::Admit { id: Some(eve.id()) });
    let again = eve.last("joined");
    assert_ne!(again["seat"], joined["seat"]);
}

#[test]
fn s_room_03_a_removed_participant_has_no_second_place_to_come_back_to() {
    let house = House::new(ROOMY);
    let (ada, code, _) = house.made(Options::default());
    let mut first = house.come(code, "Eve").expect("a place");
    let seat = seat_in(&first.last("joined"));
    drop(first);
    let second = house.come(code, "Eve").expect("another place");
    ada.act(Act::Remove { id: second.id() });
    let mut eve = house.enter(back(code, seat), "Eve").expect("waits");
    assert_eq!(eve.last("waits")["moderator"], true);
    eve.hears();
    assert!(!eve.admitted);
}

#[test]
fn s_room_03_a_removed_guest_s_invitation_is_revoked() {
    let house = House::new(ROOMY);
    let (mut ada, _, _) = house.made(Options::default());
    ada.act(Act::Invite(Invite { minutes: 10, uses: None, direct: true }));
    let direct = invitation(&mut ada);
    let eve = house.come(direct, "Eve").expect("a place");
    ada.act(Act::Remove { id: eve.id() });
    drop(eve);
    assert_eq!(house.come(direct, "Eve").err(), Some(Refused));
}

#[test]
fn s_room_03_no_invitation_leads_a_removed_moderator_past_the_lobby() {
    let house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let eve = house.come(code, "Eve").expect("a place");
    ada.act(Act::Promote { id: eve.id() });
    // She sees the invitations of others, and makes one herself.
    eve.act(Act::Invite(Invite { minutes: 10, uses: None, direct: true }));
    let direct = invitation(&mut ada);
    ada.act(Act::Remove { id: eve.id() });
    drop(eve);
    let list = ada.last("invitations")["list"].clone();
    assert_eq!((&list[0]["code"], &list[0]["direct"]), (&direct.to_string().into(), &false.into()));
    let mut eve = house.come(direct, "Eve").expect("waits");
    assert_eq!(eve.last("waits")["moderator"], true);
    assert!(!eve.admitted);
    assert_eq!(house.lobby.knock(direct, [192, 0, 2, 1].into()), Err(Refused), "nor by WHIP");
}

#[test]
fn who_has_the_secret_is_not_removed_and_gets_past_lobby_and_lock() {
    let house = House::new(ROOMY);
    let (ada, code, secret) = house.made(options(true, true));
    let mut bob = house.enter(with_secret(code, secret), "Bob").expect("a place");
    assert!(bob.last("joined").get("secret").is_none());
    assert_eq!(ada.seat.act(Act::Remove { id: bob.id() }), Err(Denied::Owner));
    drop(ada);
    let ada = house.enter(with_secret(code, secret), "Ada").expect("a place");
    ada.act(Act::Options(options(false, false)));
}

#[test]
fn the_secret_is_told_to_who_made_the_room_and_to_nobody_else() {
    let house = House::new(ROOMY);
    let (mut ada, code, secret) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    ada.act(Act::Promote { id: bob.id() });
    bob.act(Act::Mute { id: None });
    let heard = [ada.hears(), bob.hears()].concat();
    assert!(heard.len() > 5);
    assert!(heard.iter().all(|message| !message.to_string().contains(&secret.to_string())), "{heard:?}");
}

#[test]
fn a_place_is_kept_with_its_role_for_who_comes_back() {
    let mut house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    let seat = seat_in(&bob.last("joined"));
    ada.act(Act::Promote { id: bob.id() });
    ada.act(Act::Options(options(true, true)));
    drop(bob);
    let mut bob = house.enter(back(code, seat), "Bob").expect("his place");
    assert_eq!(seat_in(&bob.last("joined")), seat);
    bob.act(Act::Options(options(true, false)));
    // The server has not noticed yet that the connection is lost.
    house.left();
    let mut again = house.enter(back(code, seat), "Bob").expect("his place");
    assert_eq!(house.left(), [bob.label()]);
    assert_eq!(bob.last("closed")["why"], "elsewhere");
    assert_eq!(names(&ada.last("participants")), ["Ada", "Bob"]);
    // The end of the old connection is no concern of the new one.
    drop(bob);
    again.act(Act::Options(options(false, false)));
    assert_eq!(names(&again.last("participants")), ["Ada", "Bob"]);
}

#[test]
fn hands_are_in_order_and_a_moderator_lowers_them() {
    let house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let [bob, eve] = ["Bob", "Eve"].map(|name| house.come(code, name).expect("a place"));
    let hands = |ada: &mut Guest| -> Vec<Option<u64>> {
        let list = ada.last("participants");
        list["list"].as_array().expect("a list").iter().map(|entry| entry["hand"].as_u64()).collect()
    };
    eve.act(Act::Hand { up: true });
    bob.act(Act::Hand { up: true });
    assert_eq!(hands(&mut ada), [None, Some(2), Some(1)]);
    eve.act(Act::Hand { up: true });
    assert!(ada.hears().is_empty(), "it is up already");
    ada.act(Act::Lower { id: eve.id() });
    assert_eq!(hands(&mut ada), [None, Some(1), None]);
}

#[test]
fn a_request_to_mute_names_who_asks_and_reaches_whom_it_is_for() {
    let house = House::new(ROOMY);
    let (mut ada, code, _) = house.made(Options::default());
    let [mut bob, mut eve] = ["Bob", "Eve"].map(|name| house.come(code, name).expect("a place"));
    for guest in [&mut ada, &mut bob, &mut eve] {
        guest.hears();
    }
    ada.act(Act::Mute { id: Some(bob.id()) });
    assert_eq!(bob.last("mute")["by"], "Ada");
    assert!(eve.hears().is_empty());
    ada.act(Act::Mute { id: None });
    assert!([bob.last("mute"), eve.last("mute")].iter().all(|asked| asked["by"] == "Ada"));
    assert!(ada.hears().is_empty());
}

#[test]
fn an_oversized_name_is_cut_and_tidied_whenever_it_changes() {
    let house = House::new(ROOMY);
    let (mut ada, _, _) = house.made(Options::default());
    ada.act(Act::Rename { name: format!("  Grace\u{202e} {}", "x".repeat(100_000)) });
    let list = ada.last("participants");
    assert!(names(&list)[0].starts_with("Grace x") && names(&list)[0].len() == 40);
}

#[test]
fn the_end_is_for_all_and_the_code_is_unknown_from_then_on() {
    let mut house = House::new(ROOMY);
    let (ada, code, secret) = house.made(Options::default());
    let bob = house.come(code, "Bob").expect("a place");
    ada.act(Act::Options(options(true, false)));
    let eve = house.come(code, "Eve").expect("waits");
    ada.act(Act::End);
    assert_eq!(house.left(), [ada.label(), bob.label(), eve.label()]);
    for mut guest in [ada, bob, eve] {
        assert_eq!(guest.last("closed")["why"], "ended");
        assert!(guest.is_closed());
    }
    assert_eq!(house.come(code, "Bob").err(), Some(Refused));
    assert_eq!(house.lobby.count(), 0);
    // The same meeting next week.
    let _ada = house.enter(with_secret(code, secret), "Ada").expect("made again");
    assert_eq!(house.come(code, "Bob").expect("waits").last("waits")["moderator"], true);
}

#[test]
fn s_room_03_a_room_the_server_has_forgotten_lets_nobody_in_before_its_moderator() {
    let before = House::new(ROOMY);
    let (mut ada, code, secret) = before.made(Options::default());
    ada.act(Act::Invite(Invite { minutes: 10, uses: None, direct: true }));
    let invitations = ada.last("invitations")["list"].clone();
    let plan = || serde_json::from_value(serde_json::json!({ "lobby": false, "invitations": invitations }));
    let resumed = |keys, plan| Door::Resumed(keys, plan);

    let after = House::new(ROOMY);
    assert_eq!(after.enter(with_secret(code, random()), "Eve").err(), Some(Refused));
    assert!(after.lobby.state().rooms.is_empty(), "nothing is made for a wrong secret");
    let forged = Keys { secret: Some(random()), ..keys(code) };
    let mut eve = after.enter(resumed(forged, plan().expect("a plan")), "Eve").expect("waits");
    assert_eq!(eve.last("waits")["moderator"], false);
    drop(eve);
    // A room of the invitation's code does not stand in its way later.
    let invited: Code = invitations[0]["code"].as_str().expect("text").parse().expect("a code");
    let _mallory = after.enter(resumed(keys(invited), Plan::default()), "Mallory").expect("waits");
    let mut eve = after.enter(resumed(keys(code), plan().expect("a plan")), "Eve").expect("waits");
    assert_eq!(eve.last("waits")["moderator"], false);
    assert!(!eve.admitted, "whatever plan she brings");
    let known = Keys { secret: Some(code), ..keys(code) };
    let mut kim = after.enter(resumed(known, plan().expect("a plan")), "Kim").expect("waits");
    assert_eq!(kim.last("waits")["moderator"], false);
    drop(kim);

    let moderator = Keys { secret: Some(secret), ..keys(code) };
    let mut ada = after.enter(resumed(moderator, plan().expect("a plan")), "Ada").expect("a place");
    let list = ada.last("invitations")["list"].clone();
    assert_eq!(list[0]["code"], invitations[0]["code"]);
    eve.hears();
    assert!(eve.admitted, "there is no lobby");
    let mut kim = after.come(invited, "Kim").expect("a place");
    assert_eq!(names(&kim.last("participants")), ["Eve", "Ada", "Kim"]);
    // A plan does nothing to a room that is there.
    let locked = Plan { locked: true, ..Plan::default() };
    let _again = after.enter(resumed(moderator, locked), "Ada").expect("a place");
    assert!(after.come(code, "Bob").is_ok());
}

#[test]
fn an_encrypted_meeting_is_so_for_pages_alone_and_when_it_is_made_again() {
    let house = House::new(ROOMY);
    let door = Door::New { options: Options::default(), encrypted: true };
    let mut ada = house.enter(door, "Ada").expect("a room");
    let joined = ada.last("joined");
    assert_eq!((&joined["encrypted"], ada.seat.encrypted()), (&true.into(), true));
    let code: Code = joined["code"].as_str().expect("text").parse().expect("a code");
    let source = [192, 0, 2, 9].into();
    assert_eq!(house.lobby.knock(code, source), Err(Refused), "no place for who has no keys");
    let at_once = Door::Existing(Keys::at_once(code), Plan::default());
    assert_eq!(house.enter(at_once, "WHIP guest").err(), Some(Refused));
    // Whatever a page takes it for.
    let mut bob = house.come(code, "Bob").expect("a place");
    assert_eq!(bob.last("joined")["encrypted"], true);

    let after = House::new(ROOMY);
    let plan = Plan { encrypted: true, ..Plan::default() };
    let bob = after.enter(Door::Resumed(keys(code), plan), "Bob").expect("waits");
    assert!(bob.seat.encrypted(), "from the first on");
}

#[test]
fn a_left_seat_frees_its_place_and_tells_the_engine() {
    let mut house = House::new(SMALL);
    let (mut first, code, _) = house.made(Options::default());
    let second = house.come(code, "Bob").expect("second");
    let left = second.label();
    drop(second);
    assert_eq!(house.left(), [left]);
    let _third = house.come(code, "Bob").expect("the place is free again");
    let lists: Vec<usize> = first
        .hears()
        .iter()
        .filter(|message| message["type"] == "participants")
        .map(|message| names(message).len())
        .collect();
    assert_eq!(lists, [2, 1, 2]);
}

#[test]
fn rooms_spread_over_engines_and_the_oldest_empty_one_gives_way() {
    let house = House::new(SMALL);
    let (a, gone, _) = house.made(Options::default());
    let (b, _, _) = house.made(Options::default());
    let engines: HashSet<usize> = house.lobby.state().rooms.values().map(|room| room.engine).collect();
    assert_eq!(engines.len(), 2);
    assert_eq!(house.enter(open_door(), "Eve").err(), Some(Refused));
    drop(a);
    let (_c, _, _) = house.made(Options::default());
    assert_eq!(house.come(gone, "Ada").err(), Some(Refused));
    drop(b);
}

#[test]
fn a_room_made_ahead_is_kept_from_others_made_ahead_for_a_minute() {
    let house = House::new(SMALL);
    let lobby = &house.lobby;
    let source = [192, 0, 2, 1].into();
    let create = || lobby.create(Options::default()).map(Code::code);
    let codes = [create().expect("first"), create().expect("second")];
    assert_eq!(create(), Err(Refused));
    assert!(codes.iter().all(|code| lobby.knock(*code, source).is_ok()));
    let minute_ago = Instant::now().checked_sub(AHEAD).expect("a clock that is older");
    lobby.state().rooms.get_mut(&codes[1]).expect("room").empty_since = Some(minute_ago);
    assert!(create().is_ok());
    assert_eq!(codes.map(|code| lobby.knock(code, source).is_ok()), [true, false]);
    // Somebody who comes is worth more than a room that nobody has come to.
    let (_ada, _, _) = house.made(Options::default());
    assert!(lobby.knock(codes[0], source).is_err());
}

#[test]
fn who_cannot_wait_is_let_in_at_once_or_not_at_all() {
    let house = House::new(ROOMY);
    let source = [192, 0, 2, 1].into();
    let secret = house.lobby.create(options(true, false)).expect("a room");
    let at_once = |code| Door::Existing(Keys::at_once(code), Plan::default());
    let code = secret.code();
    assert_eq!(house.lobby.knock(code, source), Err(Refused));
    assert_eq!(house.enter(at_once(code), "WHIP").err(), Some(Refused));
    let mut ada = house.enter(with_secret(code, secret), "Ada").expect("the moderator");
    ada.act(Act::Invite(Invite { minutes: 10, uses: None, direct: true }));
    let direct = invitation(&mut ada);
    assert_eq!(house.lobby.knock(direct, source), Ok(()));
    assert!(house.enter(at_once(direct), "WHIP").is_ok());
}

#[test]
fn the_house_has_a_limit_that_those_who_wait_count_for() {
    let house = House::new(Limits { participants: 2, ..SMALL });
    let (ada, code, _) = house.made(options(true, false));
    let bob = house.come(code, "Bob").expect("waits");
    assert!(!house.lobby.has_place());
    assert_eq!(house.enter(open_door(), "Eve").err(), Some(Refused));
    drop(bob);
    assert!(house.enter(open_door(), "Eve").is_ok());
    drop(ada);
}
