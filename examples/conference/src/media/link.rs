//! What a page is told of its connection while somebody looks at it: the engine's numbers, and why each picture is
//! not larger.

use super::Thread;
use crate::lobby::Label;
use crate::message::{Link, Reply, Video, Withheld, stream_id};
use estafette::allocation::Reason;
use estafette::{Allocation, ParticipantId, Protocol, RemoteInboundStats, Rung, SourceId, SourceInfo};
use std::collections::HashMap;
use std::time::Duration;

impl Thread {
    /// Tells a page of its connection; a moderator's also of the others', in a line each.
    pub(super) fn tell_link(&mut self, label: Label, moderator: bool) {
        let Some(id) = self.ids.get(&label).copied() else { return };
        let at = self.now().as_micros() / 1_000;
        let Some(own) = self.link(id) else { return };
        let videos = self.videos(id);
        let room = self.members.get(&id).map(|member| member.room);
        let others = self.members.iter().filter(|(other, member)| **other != id && Some(member.room) == room);
        let others: Vec<ParticipantId> = others.filter(|_| moderator).map(|(other, _)| *other).collect();
        let others = others.into_iter().filter_map(|other| self.link(other)).collect();
        if let Some(member) = self.members.get(&id) {
            member.outbox.push(&Reply::Connection { at, own, videos, others });
        }
    }

    /// Tells each page which pictures it does not get though they are there and it wants them, where that changed.
    pub(super) fn tell_withheld(&mut self) {
        let everybody: Vec<ParticipantId> = self.members.keys().copied().collect();
        for id in everybody {
            let withheld = self.withheld(id);
            let Some(member) = self.members.get_mut(&id).filter(|member| member.withheld != withheld) else {
                continue;
            };
            let (pictures, own) = &withheld;
            member.outbox.push(&Reply::Withheld { pictures, own: *own });
            member.withheld = withheld;
        }
    }

    fn withheld(&mut self, id: ParticipantId) -> (Vec<Withheld>, bool) {
        let room = self.members.get(&id).and_then(|member| self.rooms.get(&member.room)).copied();
        let sources: Vec<SourceInfo> = room
            .and_then(|room| self.engine.room(room))
            .map_or_else(Vec::new, |room| room.sources().cloned().collect());
        let shares: Vec<Allocation> = self
            .engine
            .participant(id)
            .map_or_else(Vec::new, |participant| participant.allocation().collect());
        let dark = |share: &Allocation| {
            let there = !self.engine.layers(share.source).is_empty() && !share.wish.paused;
            there && share.layer.is_none() && !matches!(share.reason, Reason::All | Reason::Wish)
        };
        let picture = |share: Allocation| {
            let info = sources.iter().find(|info| info.id == share.source)?;
            let publisher = self.members.get(&info.participant)?.label;
            Some(Withheld {
                track: format!("{}/s{}", stream_id(publisher), info.number),
                screen: info.screen,
                why: share.reason.name(),
            })
        };
        let pictures = shares.into_iter().filter(dark).filter_map(picture).collect();
        let own = sources.iter().any(|info| info.participant == id && self.engine.is_held_back(info.id));
        (pictures, own)
    }

    fn link(&mut self, id: ParticipantId) -> Option<Link> {
        let label = self.members.get(&id)?.label;
        let participant = self.engine.participant(id)?;
        let transport = participant.transport_stats()?;
        let (received, lost) = participant.inbound_streams().fold((0, 0), |(received, lost), stream| {
            (received + stream.packets_received, lost + stream.packets_lost)
        });
        let reports: Vec<RemoteInboundStats> =
            participant.outbound_streams().filter_map(|stream| stream.remote).collect();
        Some(Link {
            id: stream_id(label),
            carrier: transport.selected_path.map(|path| carrier(path.protocol)),
            estimate: transport.available_outgoing_bitrate.map(|rate| rate.as_bps()),
            bytes_sent: transport.bytes_sent,
            bytes_received: transport.bytes_received,
            round_trip: transport.round_trip_time.map(milliseconds),
            packets_received: received,
            packets_lost: lost,
            loss: reports.iter().map(|report| report.fraction_lost).reduce(f64::max),
        })
    }

    fn videos(&mut self, id: ParticipantId) -> Vec<Video> {
        let room = self.members.get(&id).and_then(|member| self.rooms.get(&member.room));
        let room = room.and_then(|room| self.engine.room(*room));
        let sources: Vec<SourceInfo> = room.map(|room| room.sources().cloned().collect()).unwrap_or_default();
        let Some(participant) = self.engine.participant(id) else { return Vec::new() };
        let shares: Vec<Allocation> = participant.allocation().collect();
        let sent: HashMap<SourceId, u64> =
            participant.outbound_streams().map(|stream| (stream.source, stream.bytes_sent)).collect();
        let video = |share: Allocation| {
            let info = sources.iter().find(|info| info.id == share.source)?;
            self.video(&share, info, sent.get(&share.source).copied().unwrap_or(0))
        };
        shares.into_iter().filter_map(video).collect()
    }

    fn video(&self, share: &Allocation, info: &SourceInfo, bytes_sent: u64) -> Option<Video> {
        let publisher = self.members.get(&info.participant)?.label;
        let rungs = self.engine.layers(share.source);
        let rung = share.layer.and_then(|layer| rungs.iter().rev().find(|rung| layer.includes(rung.layer)));
        let height = |rung: &Rung| rung.resolution.map(|size| size.height);
        Some(Video {
            track: format!("{}/s{}", stream_id(publisher), info.number),
            screen: info.screen,
            sent: share.layer.is_some(),
            height: rung.and_then(height),
            frame_rate: rung.map(|rung| rung.frame_rate),
            best: rungs.iter().filter_map(height).max(),
            bytes_sent,
            paused: share.wish.paused,
            switching: share.granted.is_some() && share.granted != share.layer,
            why: share.reason.name(),
            missing: share.basis.map(|basis| basis.missing.as_bps()).filter(|missing| *missing > 0),
        })
    }
}

/// What carries a path's datagrams, as it is called in messages and logs.
pub fn carrier(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
        _ => "other",
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
