package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

// written returns the paths of the files of rules.
func written(t *testing.T) (paths []string) {
	t.Helper()
	for _, name := range []string{"recording.yml", "alerts.yml"} {
		path, err := filepath.Abs(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestPromtoolChecksTheRules(t *testing.T) {
	if out, err := servertest.Tool(t.Context(), t, "promtool", append([]string{"check", "rules"}, written(t)...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// situation is what a Prometheus has scraped each minute, and which alerts fire in
// the end: all of them, as name and severity.
type situation struct {
	series map[string]string // in promtool's notation of values
	at     string
	fires  []string
}

// Each alert once where it has to fire, and once where it must not.
var situations = map[string]situation{
	"all is well": {map[string]string{
		`http_server_request_duration_seconds_count{job="a",http_route="/"}`:                               "0+600x60",
		`http_server_request_duration_seconds_bucket{job="a",http_route="/",le="0.5"}`:                     "0+600x60",
		`rpc_server_call_duration_seconds_count{job="a",rpc_method="m"}`:                                   "0+600x60",
		`rpc_server_call_duration_seconds_bucket{job="a",rpc_method="m",le="0.5"}`:                         "0+600x60",
		`platform_router_breakers{job="a",server_address="b",platform_breaker_state="open"}`:               "0x60",
		`platform_router_breakers{job="a",server_address="b",platform_breaker_state="closed"}`:             "5x60",
		`platform_router_instances{job="a",server_address="b",platform_instance_state="ejected"}`:          "0x60",
		`platform_router_instances{job="a",server_address="b",platform_instance_state="in_rotation"}`:      "5x60",
		`platform_client_budget_exhausted_total{job="a",server_address="b",platform_attempt_kind="retry"}`: "7x60",
		`platform_client_refusals_total{job="a",server_address="b",platform_reason="no_instance"}`:         "7x60",
		`platform_messaging_lag{job="a",messaging_consumer_group_name="g",platform_state="behind"}`:        "10+1x60",
		`platform_messaging_dead_letters_total{job="a",messaging_consumer_group_name="g"}`:                 "7x60",
		`platform_messaging_dropped_total{job="a",messaging_consumer_group_name="g"}`:                      "7x60",
		`platform_messaging_missed_total{job="a",messaging_consumer_group_name="g"}`:                       "7x60",
		`platform_check_status{job="a",instance="1",platform_check_name="db"}`:                             "1x60",
		`platform_check_status{job="a",instance="2",platform_check_name="db"}`:                             "0.5x60",
		`platform_registration_status{job="a",instance="1",server_address="a"}`:                            "1x60",
		`platform_discovery_status{job="a",server_address="b"}`:                                            "1x60",
		`platform_config_status{job="a"}`:                                                                  "1x60",
		`platform_lock_lost_total{job="a",platform_lock_kind="lock"}`:                                      "7x60",
	}, "1h", nil},

	"a fiftieth fails":                             {failing("600", "12", "60"), "1h", []string{"ErrorBudgetBurns page", "ErrorBudgetBurns page", "ErrorBudgetBurns ticket", "ErrorBudgetBurns ticket"}},
	"a hundredth fails":                            {failing("600", "6", "60"), "1h", []string{"ErrorBudgetBurns page", "ErrorBudgetBurns ticket", "ErrorBudgetBurns ticket"}},
	"a two-hundredth fails":                        {failing("600", "3", "60"), "1h", []string{"ErrorBudgetBurns ticket", "ErrorBudgetBurns ticket"}},
	"less than a thousandth fails":                 {failing("6000", "5", "60"), "1h", nil},
	"a tenth failed, and no more: nobody is woken": {map[string]string{`http_server_request_duration_seconds_count{job="a"}`: "0+540x180", `http_server_request_duration_seconds_count{job="a",error_type="500"}`: "0+60x60 3600x120"}, "3h", []string{"ErrorBudgetBurns ticket"}},
	"gRPC's failures are failures too":             {map[string]string{`rpc_server_call_duration_seconds_count{job="a",rpc_method="m"}`: "0+500x60", `rpc_server_call_duration_seconds_count{job="a",rpc_method="m",error_type="INTERNAL"}`: "0+100x60"}, "1h", []string{"ErrorBudgetBurns page", "ErrorBudgetBurns page", "ErrorBudgetBurns ticket", "ErrorBudgetBurns ticket"}},
	"a fifth is slow":                              {lagging("480"), "1h", []string{"LatencyBudgetBurns page", "LatencyBudgetBurns page", "LatencyBudgetBurns ticket", "LatencyBudgetBurns ticket"}},
	"a tenth is slow":                              {lagging("540"), "1h", []string{"LatencyBudgetBurns page", "LatencyBudgetBurns ticket", "LatencyBudgetBurns ticket"}},
	"less than a hundredth is slow":                {lagging("595"), "1h", nil},
	"a breaker is open":                            {map[string]string{`platform_router_breakers{job="a",server_address="b",platform_breaker_state="open"}`: "0x5 1x20"}, "15m", []string{"BreakersOpen page"}},
	"a breaker was open":                           {map[string]string{`platform_router_breakers{job="a",server_address="b",platform_breaker_state="open"}`: "1x4 0x20"}, "15m", nil},
	"a breaker is on trial":                        {map[string]string{`platform_router_breakers{job="a",server_address="b",platform_breaker_state="half-open"}`: "1x20"}, "15m", nil},
	"a third is out":                               {ejected("1", "2"), "15m", []string{"InstancesEjected ticket"}},
	"a fifth is out":                               {ejected("1", "4"), "15m", nil},
	"no budget for retries":                        {map[string]string{`platform_client_budget_exhausted_total{job="a",server_address="b",platform_attempt_kind="retry"}`: "0+1x20"}, "15m", []string{"RetryBudgetExhausted ticket"}},
	"no budget for hedges":                         {map[string]string{`platform_client_budget_exhausted_total{job="a",server_address="b",platform_attempt_kind="hedge"}`: "0+1x20"}, "15m", nil},
	"nobody to call":                               {map[string]string{`platform_client_refusals_total{job="a",server_address="b",platform_reason="no_instance"}`: "0+1x20"}, "10m", []string{"NoInstances page"}},
	"a limit":                                      {map[string]string{`platform_client_refusals_total{job="a",server_address="b",platform_reason="limit"}`: "0+1x20"}, "10m", nil},
	"a group falls behind":                         {behind("900+100x60"), "1h", []string{"GroupFallsBehind page"}},
	"a group catches up":                           {behind("90000-100x60"), "1h", nil},
	"a group is a little behind":                   {behind("0+10x60"), "1h", nil},
	"a dead letter":                                {map[string]string{`platform_messaging_dead_letters_total{job="a",messaging_consumer_group_name="g"}`: "0x5 1x20"}, "10m", []string{"DeadLetters ticket"}},
	"a dead letter of yesterday":                   {map[string]string{`platform_messaging_dead_letters_total{job="a",messaging_consumer_group_name="g"}`: "0x5 1x60"}, "1h", nil},
	"a record was dropped":                         {map[string]string{`platform_messaging_dropped_total{job="a",messaging_consumer_group_name="g"}`: "0x5 1x20", `platform_messaging_missed_total{job="a",messaging_consumer_group_name="g"}`: "0x25"}, "10m", []string{"RecordsLost page"}},
	"a record was missed":                          {map[string]string{`platform_messaging_dropped_total{job="a",messaging_consumer_group_name="g"}`: "0x25", `platform_messaging_missed_total{job="a",messaging_consumer_group_name="g"}`: "0x5 1x20"}, "10m", []string{"RecordsLost page"}},
	"a check fails":                                {checks("0x20", "0x20"), "10m", []string{"CheckFails page"}},
	"a check fails on one, for long":               {checks("0x20", "1x20"), "16m", []string{"CheckFailsSomewhere ticket"}},
	"a check fails on one, not yet":                {checks("0x20", "1x20"), "10m", nil},
	"a check warns":                                {checks("0.5x20", "0.5x20"), "16m", nil},
	"not registered":                               {map[string]string{`platform_registration_status{job="a",instance="1",server_address="a"}`: "0x20"}, "10m", []string{"NotRegistered ticket"}},
	"registered again":                             {map[string]string{`platform_registration_status{job="a",instance="1",server_address="a"}`: "0x4 1x20"}, "10m", nil},
	"the registry is unavailable":                  {map[string]string{`platform_discovery_status{job="a",server_address="b"}`: "0x20"}, "15m", []string{"RegistryUnavailable ticket"}},
	"the registry is back":                         {map[string]string{`platform_discovery_status{job="a",server_address="b"}`: "0x8 1x20"}, "15m", nil},
	"the configuration is refused":                 {map[string]string{`platform_config_status{job="a"}`: "0x20"}, "15m", []string{"ConfigurationNotRunning ticket"}},
	"the configuration is well again":              {map[string]string{`platform_config_status{job="a"}`: "0x8 1x20"}, "15m", nil},
	"a lock was lost":                              {map[string]string{`platform_lock_lost_total{job="a",platform_lock_kind="lock"}`: "0x5 1x20"}, "10m", []string{"LocksLost ticket"}},
	"a lock was lost yesterday":                    {map[string]string{`platform_lock_lost_total{job="a",platform_lock_kind="lock"}`: "0x5 1x60"}, "1h", nil},
}

func failing(ok, bad, times string) map[string]string {
	return map[string]string{
		`http_server_request_duration_seconds_count{job="a",http_route="/"}`:                  "0+" + ok + "x" + times,
		`http_server_request_duration_seconds_count{job="a",http_route="/",error_type="500"}`: "0+" + bad + "x" + times,
	}
}

func lagging(fast string) map[string]string {
	return map[string]string{
		`http_server_request_duration_seconds_count{job="a"}`:           "0+600x60",
		`http_server_request_duration_seconds_bucket{job="a",le="0.5"}`: "0+" + fast + "x60",
		`http_server_request_duration_seconds_bucket{job="a",le="10"}`:  "0+600x60",
	}
}

func ejected(out, in string) map[string]string {
	return map[string]string{
		`platform_router_instances{job="a",server_address="b",platform_instance_state="ejected"}`:     out + "x20",
		`platform_router_instances{job="a",server_address="b",platform_instance_state="in_rotation"}`: in + "x20",
	}
}

func behind(values string) map[string]string {
	return map[string]string{`platform_messaging_lag{job="a",messaging_consumer_group_name="g",platform_state="behind"}`: values}
}

func checks(one, two string) map[string]string {
	return map[string]string{
		`platform_check_status{job="a",instance="1",platform_check_name="db"}`: one,
		`platform_check_status{job="a",instance="2",platform_check_name="db"}`: two,
	}
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	type m = map[string]any
	var input, asked []m // each situation is a job of its own, in one Prometheus
	silent := map[string]bool{}
	for _, g := range Alerts() {
		for _, r := range g.Rules {
			silent[r.Alert+" "+r.Severity] = true
		}
	}
	for name, s := range situations {
		for series, values := range s.series {
			input = append(input, m{"series": strings.Replace(series, `job="a"`, `job="`+name+`"`, 1), "values": values})
		}
		want := []m{}
		for _, alert := range slices.Compact(slices.Clone(s.fires)) {
			delete(silent, alert)
			alertname, severity, _ := strings.Cut(alert, " ")
			n := 0
			for _, other := range s.fires {
				if other == alert {
					n++
				}
			}
			want = append(want, m{"labels": fmt.Sprintf("{alertname=%q, severity=%q}", alertname, severity), "value": n})
		}
		asked = append(asked, m{"expr": fmt.Sprintf(`count by (alertname, severity) (ALERTS{alertstate="firing",job=%q})`, name), "eval_time": s.at, "exp_samples": want})
	}
	for alert := range silent {
		t.Errorf("%s fires in no situation", alert)
	}
	file, err := json.Marshal(m{"rule_files": written(t), "evaluation_interval": "1m", "tests": []m{{"interval": "1m", "input_series": input, "promql_expr_test": asked}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tests.yml")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := servertest.Tool(t.Context(), t, "promtool", "test", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
