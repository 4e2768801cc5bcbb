package dashboards

import (
	"fmt"
	"strconv"
	"strings"
)

// Group is a group of rules.
type Group struct {
	Name  string
	Rules []Rule
}

// Rule is a recording rule, or an alert.
type Rule struct {
	Record string
	Alert  string
	Expr   string
	For    string

	Severity, Window, Summary, Description string
}

// The objectives. Whoever has others edits them in the files.
const (
	errorBudget = .001 // of calls may fail
	slowBudget  = .01  // of calls may take longer than slow
	slow        = "0.5"
)

// burn is a pair of windows, and how many times as fast as it should the budget is
// spent in both: The Site Reliability Workbook, chapter 5.
type burn struct {
	long, short, severity string
	factor                float64
}

var burns = []burn{{"1h", "5m", "page", 14.4}, {"6h", "30m", "page", 6}, {"1d", "2h", "ticket", 3}, {"3d", "6h", "ticket", 1}}

// windows are those of all burns, short ones first.
var windows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// calls matches the histograms of calls that come in.
func calls(suffix string) string {
	return fmt.Sprintf(`__name__=~"%s_%s|%s_%s"`, httpServer, suffix, rpcServer, suffix)
}

// Recording returns the rules that alerts and long ranges stand on.
func Recording() []Group {
	shares := Group{Name: "go-platform: shares of calls"}
	for _, w := range windows {
		all := fmt.Sprintf(`sum by (job) (rate({%s}[%s]))`, calls("count"), w)
		shares.Rules = append(shares.Rules,
			Rule{Record: "job:platform_server_errors:ratio_rate" + w,
				Expr: fmt.Sprintf(`(sum by (job) (rate({%s,error_type!=""}[%s])) or 0 * %s) / %s`, calls("count"), w, all, all)},
			Rule{Record: "job:platform_server_slow:ratio_rate" + w,
				Expr: fmt.Sprintf(`1 - sum by (job) (rate({%s,le="%s"}[%s])) / %s`, calls("bucket"), slow, w, all)})
	}
	rates := Group{Name: "go-platform: rates"}
	for _, r := range [][2]string{
		{"job:platform_server_calls:rate5m", fmt.Sprintf(`sum by (job) (rate({%s}[5m]))`, calls("count"))},
		{"job:platform_server_duration_seconds:p99_5m", fmt.Sprintf(`histogram_quantile(0.99, sum by (job, le) (rate({%s}[5m])))`, calls("bucket"))},
		{"job:platform_client_attempts:per_call5m", `sum by (job, server_address) (rate(platform_client_attempts_total[5m])) / sum by (job, server_address) (rate(platform_client_attempts_total{platform_attempt_kind="first"}[5m]))`},
		{"job:messaging_process:rate5m", `sum by (job, messaging_consumer_group_name) (rate(messaging_process_duration_seconds_count[5m]))`},
		{"job:platform_messaging_lag:max", `max by (job, messaging_consumer_group_name) (platform_messaging_lag{platform_state="behind"})`},
	} {
		rates.Rules = append(rates.Rules, Rule{Record: r[0], Expr: r[1]})
	}
	return []Group{shares, rates}
}

// yaml is a file of rules. Strings are JSON's, which are YAML's too.
func yaml(groups []Group) []byte {
	var b strings.Builder
	b.WriteString("# Written by internal/dashboards: go test ./internal/dashboards -update\ngroups:\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "- name: %s\n  rules:\n", strconv.Quote(g.Name))
		for _, r := range g.Rules {
			r.write(&b)
		}
	}
	return []byte(b.String())
}

func (r Rule) write(b *strings.Builder) {
	if r.Record != "" {
		fmt.Fprintf(b, "  - record: %s\n", r.Record)
	} else {
		fmt.Fprintf(b, "  - alert: %s\n", r.Alert)
	}
	fmt.Fprintf(b, "    expr: %s\n", quoted(r.Expr))
	if r.For != "" {
		fmt.Fprintf(b, "    for: %s\n", r.For)
	}
	if r.Alert != "" {
		labels := "severity: " + r.Severity
		if r.Window != "" {
			labels += ", window: " + r.Window
		}
		fmt.Fprintf(b, "    labels: {%s}\n    annotations:\n      summary: %s\n      description: %s\n", labels, quoted(r.Summary), quoted(r.Description))
	}
}

// quoted is a string in single quotes, in which YAML escapes nothing else.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
