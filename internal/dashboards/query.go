package dashboards

import (
	"fmt"
	"strings"
)

// window is the time that rates are taken over: long enough for any interval of
// scraping.
const window = "[$__rate_interval]"

// selected are the labels that all queries of a dashboard have.
const selected = `job=~"$job",instance=~"$instance"`

// series is a metric with the dashboard's labels, and more.
func series(metric string, more ...string) string {
	return metric + "{" + strings.Join(append([]string{selected}, more...), ",") + "}"
}

// rate is the rate of a counter, added up by labels.
func rate(by, metric string, more ...string) string {
	return sum(by, "rate("+series(metric, more...)+window+")")
}

func sum(by, expr string) string { return aggregate("sum", by, expr) }

func aggregate(how, by, expr string) string {
	if by == "" {
		return fmt.Sprintf("%s(%s)", how, expr)
	}
	return fmt.Sprintf("%s by (%s) (%s)", how, by, expr)
}

// errors is the share of what a histogram counted that failed. It is 0 where
// nothing did.
func errors(by, histogram string) string {
	all := rate(by, histogram+"_count")
	return fmt.Sprintf("(%s or 0 * %s) / %s", rate(by, histogram+"_count", `error_type!=""`), all, all)
}

// quantile is a quantile of a histogram.
func quantile(q float64, by, histogram string) string {
	le := "le"
	if by != "" {
		le += ", " + by
	}
	return fmt.Sprintf("histogram_quantile(%v, %s)", q, rate(le, histogram+"_bucket"))
}

// quantiles are three of them.
func quantiles(histogram string) []query {
	return []query{
		{quantile(.5, "", histogram), "p50"},
		{quantile(.95, "", histogram), "p95"},
		{quantile(.99, "", histogram), "p99"},
	}
}

// mean is what a histogram's observations are on average.
func mean(by, histogram string) string {
	return fmt.Sprintf("%s / %s", rate(by, histogram+"_sum"), rate(by, histogram+"_count"))
}
