use hindsight_model::{Rows, Table};
use opentelemetry_proto::tonic::metrics::v1::Metric as ProtoMetric;
use prost::Message as _;

use super::histograms::{ExpHistogramRows, HistogramRows};
use super::numbers::NumberRows;
use super::owner::{Group, each_record};
use super::pass::Pass;
use super::points::{DataWire, Kind, MetricWire};
use super::reader::{Fields, Odd};
use super::stop::Stop;
use super::summaries::SummaryRows;
use crate::RejectReason;
use crate::reject::cut;

pub(crate) fn write_metrics(body: &[u8], pass: &mut Pass<'_>) -> Result<Vec<(Table, Rows)>, Stop> {
    let mut rows = MetricRows {
        numbers: NumberRows::new(pass.room(Table::Metrics)),
        histograms: HistogramRows::new(pass.room(Table::MetricHistograms)),
        exp_histograms: ExpHistogramRows::new(pass.room(Table::MetricExpHistograms)),
        summaries: SummaryRows::new(pass.room(Table::MetricSummaries)),
    };
    let mut metric = MetricWire::default();
    each_record(body, pass, |wire, group, pass| {
        pass.charge(size_of::<ProtoMetric>())?;
        pass.enter(group);
        rows.push(wire, &mut metric, group, pass)
    })?;
    pass.end_script();
    let tables = [
        rows.numbers.finish(pass)?,
        rows.histograms.finish(pass)?,
        rows.exp_histograms.finish(pass)?,
        rows.summaries.finish(pass)?,
    ];
    let tables: Vec<_> = tables.into_iter().flatten().collect();
    pass.note_rows(&tables);
    Ok(tables)
}

struct MetricRows<'a> {
    numbers: NumberRows<'a>,
    histograms: HistogramRows<'a>,
    exp_histograms: ExpHistogramRows<'a>,
    summaries: SummaryRows<'a>,
}

impl<'a> MetricRows<'a> {
    fn push(
        &mut self,
        wire: &'a [u8],
        metric: &mut MetricWire<'a>,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        let mut metadata = std::mem::take(&mut metric.metadata);
        metadata.clear();
        *metric = MetricWire { metadata, ..MetricWire::default() };
        let mut data = None;
        let mut fields = Fields::of(wire);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => metric.name = value.text()?,
                2 => metric.description = value.text()?,
                3 => metric.unit = value.text()?,
                5 | 7 | 9 | 10 | 11 if data.is_some() => return Err(Odd.into()),
                5 | 7 | 9 | 10 | 11 => data = Some((field, value.bytes()?)),
                12 => metric.metadata.push(value.bytes()?),
                _ => {}
            }
        }
        match data {
            Some((kind, data)) => self.push_data(kind, data, metric, group, pass),
            None => {
                ProtoMetric::decode(wire).map_err(|_| Odd)?;
                pass.tally.reject(RejectReason::NoData, group.service(), || {
                    format!("metric={}", cut(metric.name, 200))
                });
                Ok(())
            }
        }
    }

    fn push_data(
        &mut self,
        kind: u32,
        data: &'a [u8],
        metric: &MetricWire<'a>,
        group: &Group,
        pass: &mut Pass<'_>,
    ) -> Result<(), Stop> {
        let data = DataWire::read(data, matches!(kind, 7 | 9 | 10), kind == 7)?;
        let temporality = Some(data.temporality);
        let kind = match kind {
            5 => Kind { metric_type: "gauge", temporality: None, is_monotonic: None },
            7 => Kind { metric_type: "sum", temporality, is_monotonic: Some(data.is_monotonic) },
            9 => Kind { metric_type: "histogram", temporality, is_monotonic: None },
            10 => Kind { metric_type: "exponential_histogram", temporality, is_monotonic: None },
            _ => Kind { metric_type: "summary", temporality: None, is_monotonic: None },
        };
        let metric = metric.find(kind, group, pass)?;
        data.each_point(|wire| match kind.metric_type {
            "gauge" | "sum" => self.numbers.push(wire, &metric, group, pass),
            "histogram" => self.histograms.push(wire, &metric, group, pass),
            "exponential_histogram" => self.exp_histograms.push(wire, &metric, group, pass),
            _ => self.summaries.push(wire, &metric, group, pass),
        })
    }
}
