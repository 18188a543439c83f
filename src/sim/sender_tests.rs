use super::*;
use crate::base::random::Random;
use crate::sim::scenario::SourceConfig;
use crate::sim::{ConstantRate, Fate, Packet};

fn kbps(kbps: u64) -> Bitrate {
    Bitrate::from_kbps(kbps)
}

fn config(audio: u64, pauses: Vec<(Instant, Instant)>) -> FlowConfig {
    FlowConfig {
        start: Instant::from_millis(100),
        backward: false,
        delay: None,
        initial: kbps(300),
        audio: kbps(audio),
        pauses,
        feedback: Duration::from_millis(50),
        clock_ahead: Duration::ZERO,
        clock_drift: 0.0,
        source: SourceConfig::Encoder { min: kbps(100), max: kbps(5_000) },
    }
}

fn sender(config: &FlowConfig, rate: u64) -> Sender {
    let source = Source::new(&config.source, Random::new([6; 32]));
    Sender::new(config, Box::new(ConstantRate(kbps(rate))), source, FlowRecord::default())
}

/// Runs until a moment; answers what was sent.
fn drive(sender: &mut Sender, until: Instant) -> Vec<PacketRecord> {
    let before = sender.record.packets.len();
    while sender.poll_timeout() <= until {
        let now = sender.poll_timeout();
        sender.handle_timeout(now);
        while sender.poll_transmit(now).is_some() {}
        assert!(sender.poll_timeout() > now);
    }
    sender.record.packets[before..].to_vec()
}

fn feedback(missing: Vec<u32>, end: u64) -> Feedback {
    Feedback { reports: Vec::new(), missing, end, size: 100 }
}

fn bytes(packets: &[PacketRecord], of: impl Fn(&PacketRecord) -> bool) -> usize {
    packets.iter().filter(|packet| of(packet)).map(|packet| packet.size).sum()
}

#[test]
fn sound_and_picture_fill_the_estimate_and_no_more() {
    let mut sender = sender(&config(40, Vec::new()), 1_000);
    let sent = drive(&mut sender, Instant::from_millis(10_100));
    // 10 s at 1 Mbit/s are 1.25 MB, 50 kB of it sound.
    let total = bytes(&sent, |_| true);
    assert!((1_200_000..1_270_000).contains(&total), "{total}");
    assert_eq!(bytes(&sent, |packet| packet.content == Content::Audio), 501 * 100);
    assert!(sent.iter().all(|packet| packet.size <= 1_200));
    assert!(sent.first().is_some_and(|first| first.sent == Instant::from_millis(100)));
}

#[test]
fn picture_is_paced_and_sound_is_not() {
    let mut sender = sender(&config(40, Vec::new()), 1_000);
    let sent = drive(&mut sender, Instant::from_millis(2_000));
    let video: Vec<_> = sent.iter().filter(|packet| packet.content != Content::Audio).collect();
    // A packet's successor waits for its bits at 1.5 Mbit/s.
    assert!(
        video
            .windows(2)
            .all(|pair| (pair[1].sent - pair[0].sent).as_micros() as usize * 3 >= pair[0].size * 16)
    );
    let audio = sent.iter().filter(|packet| packet.content == Content::Audio);
    assert!(audio.enumerate().all(|(i, packet)| packet.sent == Instant::from_millis(100 + 20 * i as u64)));
}

#[test]
fn a_pause_is_sound_alone() {
    let pause = (Instant::from_millis(1_000), Instant::from_millis(2_000));
    let mut sender = sender(&config(40, vec![pause]), 1_000);
    drive(&mut sender, Instant::from_millis(1_100));
    assert_eq!(sender.demand, Some(Demand { next: kbps(40), most: kbps(40) }));
    let sent = drive(&mut sender, Instant::from_millis(1_990));
    assert!(!sent.is_empty() && sent.iter().all(|packet| packet.content == Content::Audio));
    let after = drive(&mut sender, Instant::from_millis(2_300));
    assert!(after.iter().any(|packet| packet.content != Content::Audio));
    assert_eq!(sender.demand, Some(Demand { next: kbps(5_040), most: kbps(5_040) }));
}

#[test]
fn what_is_missing_goes_first_three_times_and_never_while_it_may_come() {
    let mut sender = sender(&config(0, Vec::new()), 1_000);
    drive(&mut sender, Instant::from_millis(200));
    let mut contents = Vec::new();
    for _ in 0..5 {
        let now = sender.now;
        let next = sender.record.packets.len() as u64;
        // Before anything of now was reported, then twice in one.
        sender.handle_feedback(now, &feedback(vec![0], next));
        sender.handle_feedback(now, &feedback(vec![0], next));
        let sent = drive(&mut sender, now + Duration::from_millis(40));
        contents.extend(sent.first().map(|packet| packet.content));
        let repairs = sent.iter().filter(|packet| packet.content == Content::Retransmission(0)).count();
        assert!(repairs <= 1);
        // What was sent again is not yet reported: asking for it again does nothing.
        sender.handle_feedback(now, &feedback(vec![0], next));
        assert!(sender.repairs.is_empty());
    }
    assert_eq!(contents[..3], [Content::Retransmission(0); 3]);
    assert!(contents[3..].iter().all(|content| !content.is_filler()));
}

#[test]
fn old_media_is_not_sent_again() {
    let mut sender = sender(&config(0, Vec::new()), 1_000);
    drive(&mut sender, Instant::from_millis(1_100));
    let now = Instant::from_millis(1_100);
    sender.handle_feedback(now, &feedback(vec![0, 9_999], 50));
    assert!(sender.repairs.is_empty());
}

#[test]
fn retransmissions_of_the_last_second_take_room() {
    let mut sender = sender(&config(40, Vec::new()), 1_000);
    sender.resent.push_back((Instant::from_millis(100), 12_500));
    sender.resent_bytes = 12_500;
    assert_eq!(sender.room(Instant::from_millis(1_000)), kbps(860));
    assert_eq!(sender.room(Instant::from_millis(1_100)), kbps(960));
}

#[test]
fn a_frame_is_complete_with_its_last_part() {
    let mut sender = sender(&config(0, Vec::new()), 1_000);
    drive(&mut sender, Instant::from_millis(300));
    let last = sender.parts.iter().filter(|part| part.frame == 0).count() as u64 - 1;
    assert!(last > 5);
    let mut arrive = |id: u64| {
        let packet = Packet { id, lane: 0, size: 1_200, ect: false };
        let at = Instant::from_millis(400 + id);
        sender.note_outcome(&Outcome { at, packet, waited: None, fate: Fate::Arrived { ce: false } }, true);
        sender.record.frames[0].complete
    };
    assert!((0..last).all(|id| arrive(id).is_none()));
    assert_eq!(arrive(last), Some(Instant::from_millis(400 + last)));
}
