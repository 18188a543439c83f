//! Scripted voices in virtual time.

use super::*;
use crate::base::time::Duration;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn level(level: u8) -> AudioLevel {
    AudioLevel { voice: false, level }
}

const QUIET: u8 = 90;

/// A voice whose syllables reach `loud`, some dB less here and there: 150 ms of a syllable, 60 ms between
/// two, every sixth a pause.
fn speech(key: u32, ms: u64, loud: u8) -> Option<u8> {
    let ms = ms + u64::from(key) * 733;
    let syllable = ms / 210;
    let soft = (syllable.wrapping_mul(0x9e37_79b9) >> 7) as u8 % 6;
    Some(match (syllable % 6, ms % 210) {
        (5, _) => 85,
        (_, ..150) => loud + soft,
        _ => loud + 25,
    })
}

/// Runs scripts, checks what must always hold and keeps what happened.
struct Stage {
    speakers: Speakers<u32>,
    top_n: usize,
    heard: Vec<u32>,
    /// Packets of each key that were forwarded since the last run began.
    forwarded: BTreeMap<u32, u64>,
    /// When each key got a slot or lost it, and who led since when.
    slots: Vec<(u64, u32, bool)>,
    leads: Vec<(u64, Option<u32>)>,
}

impl Stage {
    fn new(top_n: usize) -> Self {
        Stage::with(Config { top_n, ..Config::default() })
    }

    fn with(config: Config) -> Self {
        let (heard, forwarded, slots, leads) = Default::default();
        Stage { speakers: Speakers::new(config), top_n: config.top_n, heard, forwarded, slots, leads }
    }

    /// Each of `keys` sends every 20 ms what the script says; `None` sends nothing.
    fn run(&mut self, from: u64, to: u64, keys: &[u32], script: impl Fn(u32, u64) -> Option<u8>) {
        self.forwarded.clear();
        for ms in (from..to).step_by(20) {
            for key in keys {
                if let Some(said) = script(*key, ms) {
                    self.packet(ms, *key, said);
                }
            }
            self.turn(ms);
        }
    }

    fn packet(&mut self, ms: u64, key: u32, said: u8) -> bool {
        let forwarded = self.speakers.handle_level(at(ms), key, level(said));
        *self.forwarded.entry(key).or_default() += u64::from(forwarded);
        assert_eq!(forwarded, self.speakers.heard().any(|heard| heard == key), "at {ms}");
        forwarded
    }

    fn turn(&mut self, ms: u64) {
        self.speakers.handle_timeout(at(ms));
        assert!(self.speakers.poll_timeout().is_none_or(|due| due > at(ms)));
        while let Some(event) = self.speakers.poll_event() {
            match event {
                SpeakerEvent::Heard(key) => {
                    assert!(!self.heard.contains(&key));
                    self.heard.push(key);
                    self.slots.push((ms, key, true));
                }
                SpeakerEvent::Unheard(key) => {
                    assert!(self.heard.contains(&key));
                    self.heard.retain(|heard| *heard != key);
                    self.slots.push((ms, key, false));
                }
                SpeakerEvent::Dominant(key) => self.leads.push((ms, key)),
            }
        }
        assert_eq!(self.speakers.heard().count(), self.heard.len());
        assert!(self.top_n == 0 || self.heard.len() <= self.top_n);
    }

    fn sent(&self, key: u32) -> u64 {
        self.forwarded.get(&key).copied().unwrap_or(0)
    }
}

#[test]
fn of_many_voices_the_n_loudest_are_heard_and_the_others_cost_nothing() {
    let mut stage = Stage::new(3);
    let keys = [1, 2, 3, 4, 5, 6];
    let script = |key: u32, ms| match key {
        1..=4 => speech(key, ms, 20 + 4 * key as u8),
        5 => Some(QUIET),
        _ => Some(127),
    };
    stage.run(0, 3_000, &keys, script);
    stage.run(3_000, 23_000, &keys, script);
    assert_eq!(keys.map(|key| stage.sent(key)), [1_000, 1_000, 1_000, 0, 0, 0]);
}

#[test]
fn a_beginning_is_not_cut_where_a_slot_is_free() {
    let mut stage = Stage::new(2);
    stage.run(0, 3_000, &[1, 2], |key, ms| if key == 1 { speech(1, ms, 25) } else { Some(QUIET) });
    assert!(stage.packet(3_000, 2, 45), "the first packet of a soft voice");
}

#[test]
fn a_louder_voice_is_heard_within_a_tenth_of_a_second_though_all_slots_are_taken() {
    for packet in [20, 40, 60] {
        let mut stage = Stage::new(1);
        stage.run(0, 3_000, &[1], |_, ms| speech(1, ms, 45));
        let began = (3_000..).step_by(packet).find(|ms| stage.packet(*ms, 2, 25)).expect("heard");
        assert!(began <= 3_100, "with packets of {packet} ms at {began}");
        assert!(stage.speakers.heard().eq([2]));
    }
}

#[test]
fn neither_a_click_nor_a_voice_that_is_hardly_louder_takes_a_slot() {
    let run = |louder: u8, frames: u64| {
        let mut stage = Stage::new(1);
        let script = |key, ms| match key {
            1 => Some(30),
            _ if (1_000..1_000 + 20 * frames).contains(&ms) => Some(30 - louder),
            _ => Some(QUIET),
        };
        stage.run(0, 2_000, &[1, 2], script);
        stage.sent(2) > 0
    };
    assert!(run(6, 4) && run(30, 4));
    assert!(!run(5, 50) && !run(30, 3));
}

#[test]
fn a_turn_is_taken_after_a_short_silence_though_all_slots_are_taken() {
    let mut stage = Stage::new(1);
    stage.run(0, 3_000, &[1], |_, _| Some(25));
    stage.run(3_000, 3_200, &[1], |_, _| Some(QUIET));
    let began = (3_200..).step_by(20).find(|ms| stage.packet(*ms, 2, 30)).expect("heard");
    assert!(began <= 3_300, "{began}");
}

#[test]
fn word_ends_and_short_pauses_are_forwarded_and_silence_is_not() {
    let mut stage = Stage::new(1);
    stage.run(0, 1_000, &[1], |_, _| Some(25));
    stage.run(1_000, 1_560, &[1], |_, _| Some(QUIET));
    assert_eq!(stage.sent(1), 28, "all of a pause");
    stage.run(1_560, 1_600, &[1], |_, _| Some(25));
    stage.run(1_600, 10_000, &[1], |_, _| Some(QUIET));
    assert_eq!(stage.sent(1), 29, "600 ms of silence");
    assert_eq!(stage.slots, [(0, 1, true), (2_180, 1, false)]);
    assert_eq!(stage.speakers.poll_timeout(), None);
}

#[test]
fn whoever_stops_sending_loses_the_slot_by_the_timer() {
    let mut stage = Stage::new(1);
    stage.run(0, 1_000, &[1], |_, _| Some(25));
    let mut last = 0;
    while let Some(due) = stage.speakers.poll_timeout() {
        last = due.as_micros() / 1_000;
        stage.turn(last);
    }
    assert!(stage.heard.is_empty() && last <= 2_000, "{last}");
}

#[test]
fn between_two_equal_voices_nothing_flaps() {
    let mut stage = Stage::new(1);
    stage.run(0, 60_000, &[1, 2], |key, ms| speech(key, ms, 25));
    // 300 pauses each, of 200 ms and more.
    assert!(stage.slots.len() <= 1 + 2 * 5, "{:?}", stage.slots);
    let leads = |lead| {
        let mut stage = Stage::with(Config { lead, ..Config::default() });
        // In noise, down to which the syllables fall.
        stage.run(0, 60_000, &[1, 2, 4], |key, ms| speech(key, ms, 25).map(|said| said.min(48)));
        stage.leads.len()
    };
    let [firm, loose] = [Config::default().lead, [1, 1, 1]].map(leads);
    assert!(firm <= 10 && loose > 2 * firm, "{firm} and {loose}");
}

#[test]
fn a_cough_does_not_lead() {
    for led in [false, true] {
        let mut stage = Stage::new(3);
        stage.run(0, 4_000, &[1], |_, ms| if led { speech(1, ms, 25) } else { Some(QUIET) });
        let leads = stage.leads.clone();
        // In a pause of all others, once with silence after it and once with nothing.
        let cough = |from: u64, ms: u64| (from..from + 150).contains(&ms).then_some(5);
        stage.run(4_000, 8_000, &[1, 2], |key, ms| match key {
            2 => cough(6_000, ms).or(Some(QUIET)),
            _ => Some(QUIET),
        });
        stage.run(8_000, 12_000, &[1, 2], |key, ms| if key == 2 { cough(10_000, ms) } else { Some(QUIET) });
        assert!(stage.slots.contains(&(6_000, 2, true)), "it is heard");
        assert_eq!(stage.leads, leads);
    }
}

#[test]
fn who_takes_over_leads_within_a_second_and_a_half() {
    let mut stage = Stage::new(3);
    let keys = [1, 2, 3];
    for turn in 0..20 {
        let begin = u64::from(turn) * 5_130;
        let speaking = turn % 3 + 1;
        // The noise of a room at 70, and whoever has spoken goes on with it.
        stage.run(begin, begin + 5_130, &keys, |key, ms| {
            if key == speaking { speech(key, ms, 25).map(|said| said.min(70)) } else { Some(70) }
        });
        let (since, leader) = *stage.leads.last().expect("somebody leads");
        assert_eq!(leader, Some(speaking), "turn {turn}");
        assert!(since - begin <= 1_500, "turn {turn} after {} ms", since - begin);
        assert_eq!(stage.leads.len(), turn as usize + 1, "one change a turn");
    }
    assert_eq!(stage.speakers.speakers(), [2, 1, 3]);
    assert_eq!(stage.speakers.dominant(), Some(2));
}

#[test]
fn a_leader_who_falls_silent_in_the_middle_of_a_syllable_is_followed() {
    let mut stage = Stage::new(3);
    stage.run(0, 4_000, &[1, 2], |key, _| Some(if key == 1 { 70 } else { QUIET }));
    stage.run(4_000, 6_000, &[1, 2], |key, _| Some(if key == 1 { 20 } else { QUIET }));
    assert_eq!(stage.speakers.dominant(), Some(1));
    stage.run(6_000, 8_000, &[2], |_, ms| speech(2, ms, 30));
    assert_eq!(stage.speakers.dominant(), Some(2));
}

#[test]
fn what_is_no_voice_does_not_lead_however_it_varies() {
    let mut stage = Stage::new(0);
    stage.run(0, 9_000, &[1], |_, ms| Some(if ms % 280 < 200 { 61 } else { 110 }));
    assert!(stage.leads.is_empty());
    stage.run(9_000, 18_000, &[1], |_, ms| Some(if ms % 280 < 200 { 60 } else { 110 }));
    assert_eq!(stage.speakers.dominant(), Some(1));
}

#[test]
fn a_key_that_came_back_is_told_anew() {
    let mut stage = Stage::new(1);
    stage.run(0, 3_000, &[1], |_, ms| speech(1, ms, 25));
    assert_eq!(stage.leads.len(), 1);
    stage.speakers.remove(1);
    for ms in (3_000..6_000).step_by(20) {
        stage.packet(ms, 1, speech(1, ms, 25).expect("a level"));
        stage.speakers.handle_timeout(at(ms));
    }
    let events: Vec<_> = std::iter::from_fn(|| stage.speakers.poll_event()).collect();
    assert_eq!(events, [SpeakerEvent::Heard(1), SpeakerEvent::Dominant(Some(1))]);
}

#[test]
fn a_slot_of_somebody_gone_silent_is_free_before_the_timer_says_so() {
    let mut speakers = Speakers::new(Config { top_n: 1, ..Config::default() });
    assert!(speakers.handle_level(at(0), 1, level(20)));
    assert!(!speakers.handle_level(at(590), 2, level(40)));
    assert!(speakers.handle_level(at(610), 2, level(40)));
}

#[test]
fn a_word_of_assent_does_not_lead_and_silence_does_not_end_a_lead() {
    let mut stage = Stage::new(3);
    stage.run(0, 30_000, &[1, 2], |key, ms| match key {
        1 => speech(1, ms, 25),
        _ if ms % 3_000 < 240 => Some(20),
        _ => Some(QUIET),
    });
    stage.run(30_000, 90_000, &[1, 2], |_, _| Some(QUIET));
    assert_eq!(stage.leads.iter().map(|(_, leader)| *leader).collect::<Vec<_>>(), [Some(1)]);
    assert_eq!(stage.speakers.dominant(), Some(1));
    assert!(stage.heard.is_empty());
}

#[test]
fn s_rtp_12_a_constant_liar_holds_one_slot_and_never_leads() {
    let mut stage = Stage::new(2);
    for ms in 0..30_000u64 {
        // A thousand packets a second at full scale, with a second's gap for good measure.
        if !(10_000..=11_000).contains(&ms) {
            stage.packet(ms, 9, 0);
        }
        if ms.is_multiple_of(20) {
            for key in [1, 2] {
                let speaks = (ms / 7_000).is_multiple_of(2) == (key == 1);
                stage.packet(ms, key, if speaks { speech(key, ms, 25).expect("a level") } else { QUIET });
            }
        }
        stage.turn(ms);
    }
    assert!(stage.leads.iter().all(|(_, leader)| *leader != Some(9)), "{:?}", stage.leads);
    assert_eq!(stage.leads.len(), 5);
    assert!(stage.sent(1) > 700 && stage.sent(2) > 500, "honest voices share the rest");
}

#[test]
fn s_rtp_12_a_mute_wins_over_any_level() {
    let mut stage = Stage::new(1);
    stage.run(0, 5_000, &[1], |_, ms| speech(1, ms, 0));
    assert_eq!(stage.speakers.dominant(), Some(1));
    stage.speakers.set_muted(1, true);
    assert_eq!((stage.speakers.dominant(), stage.speakers.heard().count()), (None, 0));
    assert_eq!(stage.speakers.poll_event(), Some(SpeakerEvent::Unheard(1)));
    assert_eq!(stage.speakers.poll_event(), Some(SpeakerEvent::Dominant(None)));
    stage.heard.clear();
    stage.run(5_000, 10_000, &[1, 2], |key, ms| speech(key, ms, if key == 1 { 0 } else { 45 }));
    assert!(stage.sent(1) == 0 && stage.sent(2) > 240, "its slot is another's");
    assert_eq!(stage.speakers.dominant(), Some(2));
    stage.speakers.set_muted(1, false);
    stage.run(10_000, 10_200, &[1], |_, _| Some(0));
    assert!(stage.sent(1) > 0);
    // Also before the first packet, and where everybody is forwarded.
    let mut speakers = Speakers::new(Config { top_n: 0, ..Config::default() });
    speakers.set_muted(7, true);
    assert!(!speakers.handle_level(at(1), 7, level(0)) && speakers.handle_level(at(1), 8, level(127)));
}

#[test]
fn a_sender_with_dtx_keeps_no_slot_in_silence() {
    let mut stage = Stage::new(2);
    let script = |_, ms: u64| match ms {
        ..2_000 => speech(1, ms, 25),
        2_000..2_200 => Some(QUIET),
        _ => ms.is_multiple_of(400).then_some(QUIET),
    };
    stage.run(0, 2_700, &[1], script);
    stage.run(2_700, 20_000, &[1], script);
    assert_eq!(stage.sent(1), 0);
    assert!(stage.heard.is_empty());
    stage.run(20_000, 22_000, &[1], |_, ms| speech(1, ms, 25));
    assert!(stage.sent(1) >= 90, "all from the first syllable on");
}

#[test]
fn a_source_without_levels_is_heard_while_it_keeps_pace_and_gives_way() {
    let mut speakers = Speakers::new(Config { top_n: 1, ..Config::default() });
    let steady = |from: u64, to: u64, step: usize| (from..to).step_by(step).map(at);
    let sent: Vec<bool> =
        steady(0, 1_000, 20).map(|now| speakers.handle_packet_without_level(now, 1)).collect();
    assert!(!sent[0] && sent[1..].iter().all(|sent| *sent));
    assert!(!speakers.handle_level(at(1_000), 2, level(58)), "no louder than what it counts as");
    assert!(steady(1_000, 1_100, 20).any(|now| speakers.handle_level(now, 2, level(40))));
    speakers.remove(2);
    assert!(steady(1_100, 1_200, 20).any(|now| speakers.handle_packet_without_level(now, 1)));
    // DTX.
    assert!(!steady(2_000, 9_000, 400).any(|now| speakers.handle_packet_without_level(now, 1)));
    speakers.handle_timeout(at(9_000));
    assert_eq!((speakers.dominant(), speakers.poll_timeout()), (None, None));
}

#[test]
fn with_no_limit_everybody_is_forwarded_and_somebody_leads() {
    let mut stage = Stage::new(0);
    stage.run(0, 4_000, &[1, 2, 3], |key, ms| if key == 2 { speech(2, ms, 25) } else { Some(127) });
    assert_eq!([1, 2, 3].map(|key| stage.sent(key)), [200; 3]);
    assert_eq!(stage.speakers.dominant(), Some(2));
    let due = stage.speakers.poll_timeout().expect("somebody spoke");
    stage.turn(due.as_micros() / 1_000 + 2_000);
    assert_eq!(stage.speakers.poll_timeout(), None);
    assert!(stage.speakers.heard().eq([1, 2, 3]));
}

#[test]
fn keys_are_bounded_and_removed_ones_leave_nothing() {
    let mut speakers = Speakers::new(Config { top_n: 0, ..Config::default() });
    for key in 0..limits::SPEAKERS + 100 {
        assert_eq!(speakers.handle_level(at(1), key, level(30)), key < limits::SPEAKERS);
        speakers.set_muted(limits::SPEAKERS + key, key >= limits::SPEAKERS);
    }
    assert_eq!((speakers.index.len(), speakers.sources.len()), (limits::SPEAKERS, limits::SPEAKERS));
    for key in 0..3 * limits::SPEAKERS {
        speakers.remove(key);
    }
    assert!(speakers.index.is_empty() && speakers.holders.is_empty() && speakers.changed.is_empty());
    assert_eq!((speakers.poll_event(), speakers.sources.len()), (None, 0));
}

#[test]
fn what_a_packet_may_add_to_has_room_since_its_key_is_known() {
    let mut speakers = Speakers::new(Config { top_n: 5, ..Config::default() });
    (0..40).for_each(|key| assert!(!speakers.handle_level(at(0), key, level(QUIET))));
    let rooms = |speakers: &Speakers<u32>| {
        [speakers.holders.capacity(), speakers.changed.capacity(), speakers.recent.capacity()]
    };
    let before = rooms(&speakers);
    assert!(before[0] >= 5 && before[1] >= 40 && before[2] >= 40);
    for ms in (0..60_000).step_by(20) {
        for key in 0u32..40 {
            let turn = (ms / 1_000 % 40) as u32;
            let said = if key.abs_diff(turn) < 8 { speech(key, ms, 25) } else { None };
            speakers.handle_level(at(ms), key, level(said.unwrap_or(QUIET)));
        }
        speakers.handle_timeout(at(ms));
    }
    assert_eq!(rooms(&speakers), before);
    assert!(speakers.recent.len() > 10);
}

#[test]
fn state_of_a_key_is_small() {
    assert!(size_of::<Source<u64>>() <= 160, "{}", size_of::<Source<u64>>());
}

#[test]
fn the_end_of_time_is_no_trap() {
    let mut speakers = Speakers::new(Config::default());
    let end = Instant::from_micros(u64::MAX);
    for now in [Instant::ZERO, end, Instant::ZERO, end] {
        assert!(speakers.handle_level(now, 1, level(10)));
        speakers.handle_timeout(now);
        assert!(speakers.poll_timeout().is_none_or(|due| due > now));
    }
}

/// One step of a random script: what, for whom, how loud, how long after the last.
type Step = (u8, u32, u8, u64);

/// Everything that can be seen of a script, its invariants checked.
fn play(config: Config, script: &[Step]) -> String {
    let mut speakers = Speakers::new(config);
    let (mut now, mut seen) = (Instant::ZERO, String::new());
    let mut gone = Vec::new();
    let mut heard: Vec<u32> = Vec::new();
    let mut leader = None;
    for (what, key, said, wait) in script {
        now += Duration::from_millis(*wait);
        let muted = matches!(what, 13);
        match what {
            0..=8 if !gone.contains(key) => {
                let forwarded = speakers.handle_level(now, *key, level(*said));
                assert_eq!(forwarded, speakers.heard().any(|heard| heard == *key));
                seen += if forwarded { "+" } else { "-" };
            }
            9 if !gone.contains(key) => {
                speakers.handle_packet_without_level(now, *key);
            }
            10..=11 => {
                speakers.handle_timeout(now);
                assert!(speakers.poll_timeout().is_none_or(|due| due > now));
            }
            12 | 13 if !gone.contains(key) => speakers.set_muted(*key, muted),
            14 => {
                speakers.remove(*key);
                gone.push(*key);
                heard.retain(|heard| heard != key);
            }
            _ => {
                while let Some(event) = speakers.poll_event() {
                    seen += &format!("{event:?}");
                    match event {
                        SpeakerEvent::Heard(key) => {
                            assert!(!heard.contains(&key) && !gone.contains(&key));
                            heard.push(key);
                        }
                        SpeakerEvent::Unheard(key) => {
                            assert!(heard.contains(&key) && !gone.contains(&key));
                            heard.retain(|heard| *heard != key);
                        }
                        SpeakerEvent::Dominant(key) => {
                            assert!(key != leader || key.is_none());
                            assert!(key.is_none_or(|key| !gone.contains(&key)));
                            leader = key;
                        }
                    }
                }
                let mut told = speakers.heard().collect::<Vec<_>>();
                told.sort_unstable();
                heard.sort_unstable();
                assert_eq!(told, heard, "polling tells all of it");
                assert_eq!(speakers.dominant(), leader);
            }
        }
        assert!(config.top_n == 0 || speakers.heard().count() <= config.top_n);
        assert!(speakers.changed.len() <= speakers.index.len());
        assert_eq!(speakers.index.len(), speakers.sources.len());
        assert!(speakers.speakers().len() <= speakers.index.len());
    }
    seen
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_hold_and_hold_again(
        top_n in 0usize..4,
        hold in prop_oneof![Just(0u64), Just(600)],
        challenge in prop_oneof![Just(0u64), Just(60)],
        script in proptest::collection::vec(
            (0u8..17, 0u32..7, prop_oneof![Just(10u8), Just(40), Just(127), any::<u8>()], 0u64..60),
            1..600,
        ),
    ) {
        let config = Config {
            top_n,
            hold: Duration::from_millis(hold),
            challenge: Duration::from_millis(challenge),
            ..Config::default()
        };
        // Most keys stay.
        let script: Vec<Step> = script
            .into_iter()
            .enumerate()
            .map(|(at, (what, key, said, wait))| {
                let what = if what == 14 && !at.is_multiple_of(8) { 3 } else { what };
                (what, key, said, wait)
            })
            .collect();
        prop_assert_eq!(play(config, &script), play(config, &script));
    }
}
