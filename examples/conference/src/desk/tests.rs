//! Desks without thread and clock, with pages that write by yrs.

use super::*;
use crate::config::LogFormat;
use crate::log::subscriber;
use crate::log::tests::Kept;
use proptest::prelude::*;
use text::{CLIENTS, DOCUMENT, PIECES, Refusal};
use tracing_subscriber::EnvFilter;
use yrs::updates::decoder::Decode;
use yrs::{Any, Doc, GetString, Map, ReadTxn, StateVector, Text as _, Transact, Update, WriteTxn};

const ROOM: u64 = 7;

/// Desks, and what they said.
struct House {
    desks: Desks,
    now: Instant,
    said: Vec<Say>,
}

impl House {
    fn new() -> House {
        House { desks: Desks::default(), now: Instant::now(), said: Vec::new() }
    }

    /// What is said to a word that comes when everybody has been quiet for long.
    fn take(&mut self, word: Word) -> Vec<Say> {
        self.now += Duration::from_secs(60);
        self.take_at_once(word)
    }

    fn take_at_once(&mut self, word: Word) -> Vec<Say> {
        let wall = UNIX_EPOCH + Duration::from_millis(1_000);
        let mut said = Vec::new();
        self.desks.take(self.now, wall, word, &mut |say| said.push(say));
        self.said.extend(said.iter().cloned());
        said
    }

    fn open(&mut self, label: Label, channel: Channel) -> Vec<Say> {
        self.take(Word::Opened { room: ROOM, label, channel })
    }

    fn say(&mut self, label: Label, text: &str) -> Vec<Say> {
        self.take(heard(label, Channel::Chat, text.as_bytes()))
    }

    fn send(&mut self, label: Label, kind: u8, bytes: &[u8]) -> Vec<Say> {
        self.take(heard(label, Channel::Text, &message(kind, bytes)))
    }

    fn desk(&mut self) -> &mut Desk {
        self.desks.rooms.get_mut(&ROOM).expect("a desk")
    }
}

fn heard(label: Label, channel: Channel, data: &[u8]) -> Word {
    let name = format!("Name {label}");
    Word::Heard { room: ROOM, label, name, channel, data: Bytes::copy_from_slice(data) }
}

fn json(message: &Bytes) -> serde_json::Value {
    serde_json::from_slice(message).expect("JSON")
}

/// A page that writes.
struct Writer {
    label: Label,
    doc: Doc,
}

impl Writer {
    fn new(label: Label) -> Writer {
        Writer { label, doc: Doc::with_client_id(u64::from(label) + 1_000) }
    }

    /// Opens the channel and learns what there is; gives what the server lacks.
    fn arrive(&mut self, house: &mut House) {
        house.open(self.label, Channel::Text);
        let vector = self.vector();
        let answers = house.send(self.label, VECTOR, &vector);
        self.hear(&answers);
        let theirs = answers[0].messages.last().expect("the server's state vector");
        assert_eq!(theirs[0], VECTOR);
        let lacks = StateVector::decode_v1(&theirs[1..]).expect("state vector");
        let update = self.doc.transact().encode_state_as_update_v1(&lacks);
        self.send(house, &update);
    }

    fn vector(&self) -> Vec<u8> {
        use yrs::updates::encoder::Encode;
        self.doc.transact().state_vector().encode_v1()
    }

    /// Sends an update in parts, and returns what is said to the last.
    fn send(&self, house: &mut House, update: &[u8]) -> Vec<Say> {
        let parts = parts(update);
        let answers = parts.into_iter().map(|part| house.take(heard(self.label, Channel::Text, &part)));
        answers.last().expect("an update")
    }

    fn insert(&mut self, at: u32, text: &str) -> Vec<u8> {
        let mut change = self.doc.transact_mut();
        let notes = change.get_or_insert_text(update::TEXT);
        notes.insert(&mut change, at, text);
        change.encode_update_v1()
    }

    /// Takes what is said to it.
    fn hear(&mut self, said: &[Say]) {
        let mut whole = Vec::new();
        for message in said.iter().flat_map(|say| &say.messages).filter(|message| message[0] != VECTOR) {
            whole.extend(&message[1..]);
            if message[0] == LAST {
                let update = Update::decode_v1(&std::mem::take(&mut whole)).expect("update");
                self.doc.transact_mut().apply_update(update).expect("applied");
            }
        }
    }

    fn text(&self) -> String {
        let mut read = self.doc.transact_mut();
        let notes = read.get_or_insert_text(update::TEXT);
        notes.get_string(&read)
    }
}

fn refusal(why: &str) -> Vec<Bytes> {
    vec![message(REFUSED, why.as_bytes())]
}

#[test]
fn what_is_said_goes_to_all_with_the_servers_word_for_who_said_it() {
    let mut house = House::new();
    house.open(3, Channel::Chat);
    let said = house.say(3, r#"{"from":"p1","name":"Ada"} hello"#);
    assert_eq!((said.len(), said[0].to, said[0].channel), (1, To::Room(ROOM), Channel::Chat));
    let expected = serde_json::json!({
        "type": "said", "from": "p3", "name": "Name 3", "time": 1_000, "text": r#"{"from":"p1","name":"Ada"} hello"#,
    });
    assert_eq!(json(&said[0].messages[0]), expected);
    assert_eq!(json(&house.say(3, "again")[0].messages[0])["time"], 1_001, "times name messages");
    // Who has not opened the channel is not heard.
    assert_eq!(house.say(4, "I am here"), []);
}

#[test]
fn who_comes_later_is_told_the_last_that_was_said() {
    let mut house = House::new();
    house.open(1, Channel::Chat);
    for number in 0..chat::REMEMBERED + 10 {
        house.say(1, &format!("number {number}"));
    }
    let told = house.open(2, Channel::Chat);
    assert_eq!((told.len(), told[0].to), (1, To::One(2)));
    let messages = &told[0].messages;
    assert_eq!(messages.len(), chat::REMEMBERED + 1);
    assert_eq!(json(&messages[0])["text"], "number 10");
    assert_eq!(json(messages.last().expect("messages")), serde_json::json!({ "type": "now" }));
    let long = "é".repeat(chat::MESSAGE / 2);
    for _ in 0..40 {
        house.say(1, &long);
    }
    let messages = &house.open(2, Channel::Chat)[0].messages;
    let bytes: usize = messages.iter().map(Bytes::len).sum();
    assert!(bytes < chat::REMEMBERED_BYTES + 100 && bytes > chat::REMEMBERED_BYTES / 2, "{bytes}");
}

#[test]
fn what_is_no_message_is_refused_and_not_passed_on() {
    let mut house = House::new();
    house.open(1, Channel::Chat);
    let refused = |why| {
        let refused = serde_json::json!({ "type": "refused", "why": why });
        vec![Say { to: To::One(1), channel: Channel::Chat, messages: vec![refused.to_string().into()] }]
    };
    for text in ["x".repeat(chat::MESSAGE + 1).as_str(), "", " \n ", "\u{1}\u{7f}"] {
        assert_eq!(house.say(1, text), refused("long"), "{} bytes", text.len());
    }
    assert_eq!(house.take(heard(1, Channel::Chat, b"\xff\xfe")), refused("long"));
    let said = house.say(1, &"\u{1}".repeat(100).replace("\u{1}\u{1}", "\u{1}\n\tx"));
    assert_eq!(json(&said[0].messages[0])["text"], "\n\tx".repeat(50), "no control characters but these");
    let most = house.say(1, &"\"".repeat(chat::MESSAGE));
    assert!(most[0].messages[0].len() <= 65_536, "a message of the engine");
    house.now += Duration::from_secs(60);
    for number in 0..Pace::AT_ONCE + 2 {
        let said = house.take_at_once(heard(1, Channel::Chat, b"quick"));
        assert_eq!(said == refused("often"), number >= Pace::AT_ONCE, "{number}");
    }
    assert_eq!(house.say(1, "slow")[0].to, To::Room(ROOM));
}

#[test]
fn pages_that_write_at_once_have_the_same_text() {
    let mut house = House::new();
    let mut writers = [1, 2, 3].map(Writer::new);
    writers.iter_mut().for_each(|writer| writer.arrive(&mut house));
    for round in 0..20 {
        // All write before any hears of the others.
        let updates: Vec<_> = writers.iter_mut().map(|writer| writer.insert(round % 2, "aé😀")).collect();
        for (at, update) in updates.iter().enumerate() {
            let said = writers[at].send(&mut house, update);
            assert_eq!(said[0].to, To::Others(ROOM, writers[at].label));
            for (other, writer) in writers.iter_mut().enumerate() {
                if other != at {
                    writer.hear(&said);
                }
            }
        }
    }
    assert_eq!(writers[0].text().chars().count(), 180);
    let mut late = Writer::new(4);
    late.arrive(&mut house);
    for writer in &writers {
        assert_eq!(writer.text(), late.text());
    }
}

#[test]
fn a_long_text_comes_in_parts() {
    let mut house = House::new();
    let (mut ada, mut bob) = (Writer::new(1), Writer::new(2));
    ada.arrive(&mut house);
    let long = "x".repeat(DOCUMENT - 100);
    let update = ada.insert(0, &long);
    let said = ada.send(&mut house, &update);
    assert!(said[0].messages.len() > 1 && said[0].messages.iter().all(|part| part.len() <= 1 + PART));
    bob.arrive(&mut house);
    assert_eq!(bob.text(), long);
}

#[test]
fn a_server_that_has_started_again_gets_the_text_back() {
    let mut house = House::new();
    let (mut ada, mut bob) = (Writer::new(1), Writer::new(2));
    ada.arrive(&mut house);
    bob.arrive(&mut house);
    let update = ada.insert(0, "one ");
    bob.hear(&ada.send(&mut house, &update));
    let mut house = House::new();
    bob.insert(4, "two");
    bob.arrive(&mut house);
    ada.arrive(&mut house);
    assert_eq!(ada.text(), "one two");
    let passed_on = house.said.iter().filter(|say| matches!(say.to, To::Others(..))).count();
    assert_eq!(passed_on, 1, "what is known is not passed on again");
}

/// A document with an update of each sort that is not text.
fn other_sorts() -> Vec<(&'static str, Vec<u8>)> {
    let made = |make: &dyn Fn(&mut yrs::TransactionMut<'_>)| {
        let doc = Doc::with_client_id(5);
        let mut change = doc.transact_mut();
        make(&mut change);
        change.encode_update_v1()
    };
    let text = |change: &mut yrs::TransactionMut<'_>| {
        let text = change.get_or_insert_text(update::TEXT);
        text.insert(change, 0, "text");
        text
    };
    vec![
        ("another text", made(&|change| change.get_or_insert_text("other").insert(change, 0, "x"))),
        ("a map", made(&|change| _ = change.get_or_insert_map(update::TEXT).insert(change, "key", 1))),
        ("an embed", made(&|change| _ = text(change).insert_embed(change, 1, Any::Null))),
        (
            "a format",
            made(&|change| text(change).format(change, 0, 2, [("b".into(), Any::Bool(true))].into())),
        ),
        (
            "a nested type",
            made(&|change| _ = text(change).insert_embed(change, 1, yrs::MapPrelim::default())),
        ),
    ]
}

#[test]
fn only_plain_text_is_taken() {
    for (sort, update) in other_sorts() {
        assert!(update::check(&update).is_err(), "{sort}");
        let mut text = Text::default();
        assert_eq!(text.apply(&update), (None, Err(Refusal::Malformed)), "{sort}");
    }
    // Values in values, deeper than any stack: refused at the first.
    let mut deep = vec![1, 1, 5, 0, 8, 1, 5];
    deep.extend(update::TEXT.as_bytes());
    deep.push(1);
    deep.extend([117, 1].repeat(100_000));
    assert!(update::check(&deep).is_err());
    // Claims of more than there are bytes.
    for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 5, 0]] {
        assert!(update::check(claim).is_err());
        assert!(Text::default().missing_in(claim).is_err());
    }
}

#[test]
fn who_is_refused_is_told_and_not_heard_before_it_asks_again() {
    let mut house = House::new();
    let mut ada = Writer::new(1);
    ada.arrive(&mut house);
    let first = ada.insert(0, "one");
    let second = ada.insert(3, " two");
    // The second stands on what the server does not have.
    assert_eq!(ada.send(&mut house, &second)[0].messages, refusal("bad"));
    assert_eq!(ada.send(&mut house, &first), []);
    assert_eq!(house.desks.refusals[&Refusal::Malformed], 1);
    ada.arrive(&mut house);
    let mut bob = Writer::new(2);
    bob.arrive(&mut house);
    assert_eq!(bob.text(), "one two");
    assert_eq!(house.send(1, 9, b"?")[0].messages, refusal("bad"));
    assert_eq!(house.send(1, 9, b"?"), [], "whatever it says");
}

#[test]
fn who_asks_too_often_is_told_to_ask_again() {
    let mut house = House::new();
    let mut ada = Writer::new(1);
    house.open(1, Channel::Text);
    let vector = message(VECTOR, &ada.vector());
    let mut ask = || house.take_at_once(heard(1, Channel::Text, &vector)).remove(0).messages;
    (0..Pace::AT_ONCE).for_each(|_| assert_ne!(ask(), refusal("often")));
    assert_eq!(ask(), refusal("often"));
    ada.arrive(&mut house);
}

#[test]
fn i_12_refusals_are_logged_ever_more_rarely_and_each_kind_for_itself() {
    let kept = Kept::default();
    let subscriber = subscriber(LogFormat::Text, EnvFilter::new("info"), kept.clone());
    let mut house = House::new();
    let mut ada = Writer::new(1);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..100 {
            ada.arrive(&mut house);
            house.send(1, 9, b"?");
        }
        ada.arrive(&mut house);
        let update = ada.insert(0, &"x".repeat(DOCUMENT));
        ada.send(&mut house, &update);
    });
    let log = kept.text();
    let counts = |kind: &str| -> Vec<u64> {
        let lines = log.lines().filter(|line| line.contains(&format!("refusal={kind}")));
        let count = |line: &str| line.rsplit_once("count=").expect("a count").1.parse().expect("a number");
        lines.map(count).collect()
    };
    assert_eq!(counts("Malformed"), [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(counts("Full"), [1]);
}

#[test]
fn i_01_should_yjs_fail_one_text_is_begun_anew_and_its_writers_give_it_back() {
    let mut house = House::new();
    let (mut ada, mut bob) = (Writer::new(1), Writer::new(2));
    ada.arrive(&mut house);
    bob.arrive(&mut house);
    let update = ada.insert(0, "one");
    bob.hear(&ada.send(&mut house, &update));
    // There is no update known that it fails on: here what is called in the midst of a change does in its place.
    let update = ada.insert(3, " two");
    let (mut failed, mut said) = (false, Vec::new());
    let word = heard(1, Channel::Text, &message(LAST, &update));
    house.desks.take_surely(house.now, UNIX_EPOCH, word, &mut |say| {
        assert!(std::mem::replace(&mut failed, true), "fails once");
        said.push(say);
    });
    let begun = message(VECTOR, &Text::default().vector());
    let [to_her, to_all] = &said[..] else { panic!("{said:?}") };
    assert_eq!((to_her.to, &to_her.messages), (To::One(1), &refusal("bad")));
    assert_eq!((to_all.to, &to_all.messages), (To::Others(ROOM, 1), &vec![begun]));
    assert_eq!(house.desks.refusals[&Refusal::Broken], 1);
    // The others answer, and it goes on.
    let whole = bob.doc.transact().encode_state_as_update_v1(&StateVector::default());
    bob.send(&mut house, &whole);
    let mut ada = Writer::new(1);
    ada.arrive(&mut house);
    assert_eq!(ada.text(), "one");
}

#[test]
fn a_document_has_an_end() {
    let mut house = House::new();
    let mut ada = Writer::new(1);
    ada.arrive(&mut house);
    let update = ada.insert(0, &"x".repeat(DOCUMENT));
    assert_eq!(ada.send(&mut house, &update)[0].messages, refusal("full"));
    assert!(house.desk().pages[&1].update.is_empty());

    let mut text = Text::default();
    let mut full = |make: &mut dyn FnMut(u64) -> Vec<u8>, most: u64| {
        let outcomes = (0..most).map(|at| text.apply(&make(at)).1);
        outcomes.take_while(Result::is_ok).count()
    };
    // One letter of each client.
    let one = |client| Writer { label: 0, doc: Doc::with_client_id(client) }.insert(0, "x");
    assert_eq!(full(&mut |at| one(at + 1), 2 * CLIENTS as u64), CLIENTS);
    // A client that always writes at the beginning makes a piece of each letter, but one that writes on does not.
    let mut ada = Writer::new(1);
    text = Text::default();
    let written = (0..=PIECES).map(|_| text.apply(&ada.insert(0, "x")).1).take_while(Result::is_ok).count();
    assert_eq!(written, PIECES);
    let mut bob = Writer::new(2);
    text = Text::default();
    assert!((0..=PIECES as u32).all(|at| text.apply(&bob.insert(at, "x")).1.is_ok()));
}

#[test]
fn what_is_deleted_makes_room() {
    let mut text = Text::default();
    let mut ada = Writer::new(1);
    for _ in 0..10 {
        let update = ada.insert(0, &"x".repeat(DOCUMENT / 3));
        assert_eq!(text.apply(&update).1, Ok(()));
        let mut change = ada.doc.transact_mut();
        let notes = change.get_or_insert_text(update::TEXT);
        notes.remove_range(&mut change, 0, (DOCUMENT / 3) as u32);
        let update = change.encode_update_v1();
        drop(change);
        assert_eq!(text.apply(&update).1, Ok(()));
    }
}

impl Writer {
    /// Deletes so many letters at each of these places, the last first.
    fn delete(&mut self, places: impl Iterator<Item = u32>, letters: u32) -> Vec<u8> {
        let mut change = self.doc.transact_mut();
        let notes = change.get_or_insert_text(update::TEXT);
        places.for_each(|at| notes.remove_range(&mut change, at, letters));
        change.encode_update_v1()
    }
}

#[test]
fn a_full_document_can_be_deleted_from_and_emptied() {
    let (mut text, mut ada) = (Text::default(), Writer::new(1));
    let full = DOCUMENT - 40;
    assert_eq!(text.apply(&ada.insert(0, &"x".repeat(full))).1, Ok(()));
    let more = Writer::new(2).insert(0, &"x".repeat(100));
    assert_eq!(text.apply(&more), (None, Err(Refusal::Full)));
    assert_eq!(text.apply(&ada.delete([100].into_iter(), 1)).1, Ok(()), "a letter in its midst");
    // Letter by letter, as it costs most, until that has an end as well.
    let mut refused = false;
    let mut end = ada.text().len() as u32;
    while !refused {
        refused = text.apply(&ada.delete((end - 1_000..end).rev().step_by(2), 1)).1 == Err(Refusal::Full);
        end -= 1_000;
    }
    let bytes = text.missing_in(&[0]).expect("state").len();
    assert!(bytes > DOCUMENT && bytes < DOCUMENT + DOCUMENT / 4, "{bytes} bytes");
    let all = ada.text().len() as u32;
    assert_eq!(text.apply(&ada.delete([0].into_iter(), all)).1, Ok(()));
    assert_eq!(text.apply(&more).1, Ok(()));
}

#[test]
fn all_is_gone_with_the_room() {
    let mut house = House::new();
    let mut ada = Writer::new(1);
    ada.arrive(&mut house);
    house.open(1, Channel::Chat);
    house.say(1, "hello");
    let update = ada.insert(0, "text");
    ada.send(&mut house, &update);
    house.take(Word::Left { room: ROOM, label: 1 });
    assert!(house.desk().pages.is_empty());
    house.take(Word::Closed { room: ROOM });
    assert!(house.desks.rooms.is_empty());
    // What was under way makes no desk again.
    assert_eq!(house.say(1, "late"), []);
    assert!(house.desks.rooms.is_empty());
    assert_eq!(house.open(2, Channel::Chat)[0].messages.len(), 1, "nothing but `now`");
    let mut bob = Writer::new(2);
    bob.arrive(&mut house);
    assert_eq!(bob.text(), "");
}

/// A text that has seen some writing, and an update that it would take.
fn written() -> (Text, Vec<u8>) {
    let (mut ada, mut text) = (Writer::new(1), Text::default());
    for (at, word) in [(0, "one "), (4, "two "), (2, "three "), (0, "😀é")] {
        assert_eq!(text.apply(&ada.insert(at, word)).1, Ok(()));
    }
    let update = ada.insert(4, "four");
    (text, update)
}

/// That a text is in good order: it takes a change, and whoever comes has all of it.
fn assert_sound(text: &mut Text) {
    let mut eve = Writer::new(9);
    let state = Update::decode_v1(&text.missing_in(&[0]).expect("state")).expect("update");
    eve.doc.transact_mut().apply_update(state).expect("applied");
    assert!(!eve.doc.transact().has_missing_updates());
    let update = eve.insert(0, "sound ");
    assert_eq!(text.apply(&update).1, Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut text = Text::default();
        let (changed, outcome) = text.apply(&bytes);
        prop_assert!(outcome != Err(Refusal::Broken));
        prop_assert!(changed.is_none() || update::check(&bytes).is_ok());
        let _ = text.missing_in(&bytes);
        assert_sound(&mut text);
    }

    #[test]
    fn spoilt_updates_do_no_harm(
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
    ) {
        let (mut text, mut update) = written();
        for (at, byte) in spoils {
            let at = at.index(update.len());
            update[at] = byte;
        }
        if end.index(4) == 0 {
            update.truncate(end.index(update.len()));
        }
        let (_, outcome) = text.apply(&update);
        prop_assert!(outcome != Err(Refusal::Broken));
        assert_sound(&mut text);
    }
}
