//! What a survey found, as metrics for Prometheus: text of OpenMetrics, names and units after Prometheus' conventions.

use crate::media::Census;
use crate::spread::Spread;
use crate::survey::Survey;
use estafette::EngineStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of [`text`].
pub const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A survey as text.
pub fn text(survey: Arc<Survey>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(survey)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

type Labels = Vec<(&'static str, String)>;

/// Values of one name, each with its labels.
type Values<T> = Vec<(Labels, T)>;

#[derive(Debug)]
struct Metrics(Arc<Survey>);

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.server(&mut out)?;
        self.engines(&mut out)?;
        self.media(&mut out)
    }
}

impl Metrics {
    fn server(&self, out: &mut Out<'_>) -> fmt::Result {
        let survey = &self.0;
        let one = |count: usize| vec![(Labels::new(), count as f64)];
        let people = survey.rooms.iter().map(|room| room.people).sum();
        let waiting = survey.rooms.iter().map(|room| room.waiting).sum();
        out.gauges("conference_rooms", "Rooms, empty ones included", one(survey.rooms.len()))?;
        out.gauges("conference_participants", "Participants in rooms", one(people))?;
        out.gauges("conference_waiting", "Pages that wait to be let in", one(waiting))?;
        out.gauges(
            "conference_pages",
            "Pages that are open, and sessions of other clients",
            one(survey.pages),
        )?;
        out.gauges("conference_engines", "Engines that answered", one(survey.engines.len()))?;
        let refusals = vec![(Labels::new(), survey.refusals)];
        out.counters("conference_refusals", "Tries of codes that were refused", refusals)?;
        out.gauges(
            "conference_uptime_seconds",
            "Since the start",
            vec![(Labels::new(), survey.at.as_secs_f64())],
        )?;
        if let Some(usage) = survey.usage {
            let cpu = vec![(Labels::new(), usage.cpu_seconds)];
            out.counters("process_cpu_seconds", "Processor time of the process", cpu)?;
            let memory = vec![(Labels::new(), usage.resident_bytes as f64)];
            out.gauges("process_resident_memory_bytes", "Memory of the process", memory)?;
        }
        Ok(())
    }

    /// What engines count, each under its number.
    fn engines(&self, out: &mut Out<'_>) -> fmt::Result {
        for (name, help, value) in GAUGES {
            let values = self.each(|census| value(&census.stats) as f64);
            out.gauges(name, help, values)?;
        }
        for (name, help, value) in COUNTERS {
            out.counters(name, help, self.each(|census| value(&census.stats)))?;
        }
        let mut drops = Values::new();
        for census in &self.0.engines {
            drops.extend(census.drops().map(|(reason, count)| {
                (vec![("engine", census.number.to_string()), ("reason", reason.to_owned())], count)
            }));
        }
        out.counters(
            "estafette_drops",
            "What was dropped, by reason; reasons that never were are left out",
            drops,
        )
    }

    fn media(&self, out: &mut Out<'_>) -> fmt::Result {
        let joins = self.each(|census| census.join_times.clone());
        out.histograms("conference_join_seconds", "From joining to being connected", joins)?;
        let estimates = self.bounded(|census| &census.estimates);
        let help = "Participants whose path is believed to carry so many bit/s or less";
        out.gauges("conference_estimate_participants", help, estimates)?;
        let help = "Pictures that are sent with so many lines or less";
        out.gauges("conference_picture_height_subscriptions", help, self.bounded(|census| &census.heights))?;
        out.gauges(
            "conference_pictures_unsent",
            "Pictures that are not sent",
            self.each(|census| census.dark as f64),
        )?;
        let reasons = self.named("reason", |census| &census.reasons);
        out.gauges("conference_picture_reasons", "Pictures by why they are not larger", reasons)?;
        let carriers = self.named("carrier", |census| &census.carriers);
        out.gauges("conference_carriers", "Connected participants by what carries their media", carriers)
    }

    fn each<T>(&self, value: impl Fn(&Census) -> T) -> Values<T> {
        let labels = |census: &Census| vec![("engine", census.number.to_string())];
        self.0.engines.iter().map(|census| (labels(census), value(census))).collect()
    }

    fn named(
        &self,
        label: &'static str,
        values: impl Fn(&Census) -> &BTreeMap<&'static str, u64>,
    ) -> Values<f64> {
        let of = |census: &Census| -> Values<f64> {
            let engine = census.number.to_string();
            let line = |(name, count): (&&str, &u64)| {
                (vec![("engine", engine.clone()), (label, (*name).to_owned())], *count as f64)
            };
            values(census).iter().map(line).collect()
        };
        self.0.engines.iter().flat_map(of).collect()
    }

    /// How values are spread now, by bounds as histograms have them (`le`), so that `histogram_quantile` reads it;
    /// no histogram, for values leave it again.
    fn bounded(&self, spread: impl Fn(&Census) -> &Spread) -> Values<f64> {
        let of = |census: &Census| -> Values<f64> {
            let mut below = 0;
            let line = |(bound, count): (f64, u64)| {
                below += count;
                let bound = if bound == f64::MAX { "+Inf".to_owned() } else { format!("{bound}") };
                (vec![("engine", census.number.to_string()), ("le", bound)], below as f64)
            };
            spread(census).buckets().into_iter().map(line).collect()
        };
        self.0.engines.iter().flat_map(of).collect()
    }
}

/// A metric of an engine: its name, what it is, and where it stands.
type OfEngine<T> = (&'static str, &'static str, fn(&EngineStats) -> T);

const GAUGES: &[OfEngine<usize>] = &[
    ("estafette_rooms", "Rooms", |stats| stats.rooms),
    ("estafette_participants", "Participants", |stats| stats.participants),
    ("estafette_sources", "Sources that are published", |stats| stats.sources),
    ("estafette_subscriptions", "Sources that are received, once for each receiver", |stats| {
        stats.subscriptions
    }),
    ("estafette_streams", "TCP streams", |stats| stats.streams),
    ("estafette_streams_unproven", "TCP streams on which nobody authenticated yet", |stats| {
        stats.streams_unproven
    }),
    ("estafette_history_bytes", "Memory of the packets that are kept", |stats| {
        stats.history_pages * estafette::limits::HISTORY_PAGE
    }),
];

const COUNTERS: &[OfEngine<u64>] = &[
    ("estafette_received_datagrams", "Datagrams received", |stats| stats.datagrams_received),
    ("estafette_received_bytes", "Bytes of the datagrams received", |stats| stats.bytes_received),
    ("estafette_sent_datagrams", "Datagrams sent", |stats| stats.datagrams_sent),
    ("estafette_sent_bytes", "Bytes of the datagrams sent", |stats| stats.bytes_sent),
    ("estafette_consumed_datagrams", "Datagrams of STUN, DTLS and RTCP taken", |stats| {
        stats.datagrams_consumed
    }),
    ("estafette_dropped_datagrams", "Datagrams dropped on the way in", |stats| stats.datagrams_dropped),
    ("estafette_media_packets", "RTP packets taken", |stats| stats.media_received),
    ("estafette_queued_packets", "RTP packets queued for receivers", |stats| stats.packets_queued),
    ("estafette_forwarded_packets", "Queued RTP packets sent", |stats| stats.packets_forwarded),
    ("estafette_dropped_packets", "Queued RTP packets dropped", |stats| stats.packets_dropped),
    ("estafette_ecn_ce_datagrams", "Datagrams that met congestion (RFC 3168)", |stats| stats.ecn_ce_received),
    ("estafette_received_messages", "Messages of data channels read", |stats| stats.messages_received),
    ("estafette_sent_messages", "Messages of data channels queued for receivers", |stats| {
        stats.messages_sent
    }),
    ("estafette_dropped_messages", "Packets and messages of data channels dropped", |stats| {
        stats.messages_dropped
    }),
];

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauges(&mut self, name: &str, help: &str, values: Values<f64>) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge, values, |metric, value| metric.encode_gauge(value))
    }

    fn counters<T: EncodeCounterValue>(&mut self, name: &str, help: &str, values: Values<T>) -> fmt::Result {
        self.metric(name, help, MetricType::Counter, values, |metric, value| {
            metric.encode_counter::<NoLabelSet, T, f64>(value, None)
        })
    }

    fn histograms(&mut self, name: &str, help: &str, values: Values<Spread>) -> fmt::Result {
        self.metric(name, help, MetricType::Histogram, values, |metric, spread| {
            metric.encode_histogram::<NoLabelSet>(spread.sum(), spread.count(), &spread.buckets(), None)
        })
    }

    fn metric<T>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: Values<T>,
        write: impl Fn(&mut MetricEncoder<'_>, &T) -> fmt::Result,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        values.iter().try_for_each(|(labels, value)| match labels.is_empty() {
            true => write(&mut metric, value),
            false => write(&mut metric.encode_family(labels)?, value),
        })
    }
}
