//! The text format of Prometheus.

use std::collections::BTreeMap;

use crate::store::Histogram;

/// Figures as they are written, one family after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    out: String,
    name: &'static str,
}

impl Text {
    /// Begins a figure that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, help, "gauge");
    }

    /// Begins a figure that only grows.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) {
        self.family(name, help, "counter");
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) {
        self.name = name;
        self.raw(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value of the family that was begun last.
    pub(super) fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        let name = self.name;
        self.sample(name, labels, value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.len() {
            0 => String::new(),
            _ => format!("{{{}}}", labels.join(",")),
        };
        self.raw(&format!("{name}{labels} {value}\n"));
    }

    /// A family of histograms, one for each value of `label`; without a label there is one.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        label: &str,
        histograms: &BTreeMap<String, Histogram>,
    ) {
        self.family(name, help, "histogram");
        for (value, histogram) in histograms {
            let label: Vec<(&str, &str)> = match (label, value.as_str()) {
                ("", _) | (_, "") => Vec::new(),
                label => vec![label],
            };
            let with = |limit: &str| {
                let mut labels: Vec<(&str, String)> = label
                    .iter()
                    .map(|(name, value)| (*name, (*value).to_owned()))
                    .collect();
                labels.push(("le", limit.to_owned()));
                labels
            };
            let mut below = 0;
            let mut bucket = |text: &mut Self, limit: &str, count: u64| {
                below += count;
                let labels = with(limit);
                let labels: Vec<(&str, &str)> = labels
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                text.sample(&format!("{name}_bucket"), &labels, below as f64);
            };
            for (limit, count) in &histogram.buckets {
                bucket(self, &limit.as_secs_f64().to_string(), *count);
            }
            bucket(self, "+Inf", histogram.above);
            self.sample(&format!("{name}_sum"), &label, histogram.sum.as_secs_f64());
            self.sample(&format!("{name}_count"), &label, below as f64);
        }
    }

    /// Lines that are in the format already.
    pub(super) fn raw(&mut self, lines: &str) {
        self.out.push_str(lines);
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram {
            buckets: BTreeMap::from([(Duration::from_millis(100), 2), (Duration::from_secs(1), 3)]),
            above: 1,
            sum: Duration::from_secs(9),
        };
        let mut text = Text::default();
        let all = BTreeMap::from([("a\"b".to_owned(), histogram)]);
        text.histogram("wait_seconds", "A wait.", "type", &all);
        insta::assert_snapshot!(text.finish(), @r#"
        # HELP wait_seconds A wait.
        # TYPE wait_seconds histogram
        wait_seconds_bucket{type="a\"b",le="0.1"} 2
        wait_seconds_bucket{type="a\"b",le="1"} 5
        wait_seconds_bucket{type="a\"b",le="+Inf"} 6
        wait_seconds_sum{type="a\"b"} 9
        wait_seconds_count{type="a\"b"} 6
        "#);
    }
}
