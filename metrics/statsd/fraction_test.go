package statsd

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/metrics"
)

// seconds is a snapshot of a counter such as process_cpu_seconds_total.
func seconds(v float64) *metrics.Snapshot {
	return &metrics.Snapshot{Families: []metrics.Family{{Name: "gp_cpu_seconds_total", Kind: metrics.KindCounter,
		Series: []metrics.Series{{ID: 1, Values: []string{}, Value: v, Count: uint64(v)}}}}}
}

// What is sent of a counter, export by export: "" is no line.
func TestFractionsOfCounters(t *testing.T) {
	for name, c := range map[string]struct {
		totals    []float64
		fractions []string // in Plain and Graphite
		whole     []string // in Telegraf and DogStatsD
	}{
		"whole numbers":             {[]float64{3, 3, 10}, []string{"3", "", "7"}, []string{"3", "", "7"}},
		"beyond a float's":          {[]float64{1 << 53, 1<<53 + 2}, []string{"9007199254740992", "2"}, []string{"9007199254740992", "2"}},
		"fractions":                 {[]float64{.25, .25, 1.75, 2}, []string{"0.25", "", "1.5", "0.25"}, []string{"", "", "1", "1"}},
		"the whole, then fractions": {[]float64{2, 2.5, 3}, []string{"2", "0.5", "0.5"}, []string{"2", "", "1"}},
		"a nanosecond":              {[]float64{1e-9}, []string{"0.000000001"}, []string{""}},
		"less than that":            {[]float64{1e-10, 1e-9}, []string{"", "0.000000001"}, []string{"", ""}},
		"begins again":              {[]float64{5.5, 1.25}, []string{"5.5", "1.25"}, []string{"5", "1"}},
	} {
		for _, dialect := range []Dialect{Plain, Telegraf, DogStatsD, Graphite} {
			sent := ""
			d := &driver{options: options{dialect: dialect, packet: 1432}, sender: senderFunc(func(b []byte) { sent = string(b) }), last: map[uint64]total{}}
			want := c.fractions
			if dialect == Telegraf || dialect == DogStatsD {
				want = c.whole
			}
			for i, v := range c.totals {
				sent = ""
				if _, err := d.Export(t.Context(), seconds(v)); err != nil {
					t.Fatal(err)
				}
				line := ""
				if want[i] != "" {
					line = "gp_cpu_seconds_total:" + want[i] + "|c"
				}
				if sent != line {
					t.Errorf("%s, dialect %d: %v is sent as %q, want %q", name, dialect, v, sent, line)
				}
			}
		}
	}
}

// fields of what Telegraf and the collector print.
type printed struct {
	Name    string
	Fields  struct{ Value float64 }
	Flush   struct{ Counters map[string]float64 }
	Metrics struct {
		ResourceMetrics []struct {
			ScopeMetrics []struct {
				Metrics []struct {
					Name string
					Sum  struct{ DataPoints []struct{ AsInt string } }
				}
			}
		}
	}
}

// added adds up what a receiver has printed of the counter.
func added(lines []string) (sum float64) {
	for _, line := range lines {
		var one printed
		if json.Unmarshal([]byte(line), &one) != nil {
			continue
		}
		sum += one.Flush.Counters["gp_cpu_seconds_total"]
		if one.Name == "gp_cpu_seconds_total" {
			sum += one.Fields.Value
		}
		for _, r := range one.Metrics.ResourceMetrics {
			for _, s := range r.ScopeMetrics {
				for _, m := range s.Metrics {
					if m.Name == "gp_cpu_seconds_total" {
						for _, p := range m.Sum.DataPoints {
							n, _ := strconv.ParseFloat(p.AsInt, 64)
							sum += n
						}
					}
				}
			}
		}
	}
	return sum
}

// What receivers have of a counter with fractions, in the dialect for them.
func TestReceiversAddUpFractions(t *testing.T) {
	for name, c := range map[string]struct {
		dialect Dialect
		start   func(testing.TB, ...servertest.Option) *servertest.Server
		parts   []float64 // the receiver's sum after 2.25, and after 3.75
	}{
		"statsd_exporter": {Plain, servertest.StatsdExporter, []float64{2.25, 3.75}},
		"etsy's statsd":   {Plain, servertest.Statsd, []float64{2.25, 3.75}},
		"telegraf":        {Telegraf, servertest.Telegraf, []float64{2, 3}},
		"collector":       {DogStatsD, servertest.Collector, []float64{2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.start(t)
			m := &driver{options: options{dialect: c.dialect, packet: 1432, resolve: time.Minute, timeout: time.Second}, last: map[uint64]total{}}
			sender, _, err := dial(s.AddrOf("statsd"), &m.options)
			if err != nil {
				t.Fatal(err)
			}
			m.sender = sender
			defer sender.Close()
			for i, total := range []float64{2.25, 3.75, 4} {
				want := append(c.parts[:2:2], 4)[i]
				if _, err := m.Export(t.Context(), seconds(total)); err != nil {
					t.Fatal(err)
				}
				if name != "statsd_exporter" {
					s.Await(t, "received", func(lines []string) bool { return added(lines) == want })
					continue
				}
				var page string
				for end := time.Now().Add(30 * time.Second); !strings.Contains(page, "gp_cpu_seconds_total "+strconv.FormatFloat(want, 'g', -1, 64)+"\n"); time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("after %v it is not %v:\n%s", total, want, page)
					}
					page = body(t, "http://"+s.AddrOf("http")+"/metrics")
				}
			}
		})
	}
}

func body(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
