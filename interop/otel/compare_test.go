package otel

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

type keyValue struct {
	Key   string
	Value map[string]any
}

type point struct{ Attributes []keyValue }

type batch struct {
	Traces struct {
		ResourceSpans []struct {
			Resource   json.RawMessage
			ScopeSpans []struct {
				Spans []struct {
					Name       string
					Kind       int
					Attributes []keyValue
					Status     struct{ Code int }
				}
			}
		}
	}
	Metrics struct {
		ResourceMetrics []struct {
			Resource     json.RawMessage
			ScopeMetrics []struct {
				Metrics []struct {
					Name, Unit string
					Gauge      *struct{ DataPoints []point }
					Sum        *struct{ DataPoints []point }
					Histogram  *struct {
						DataPoints []struct {
							Attributes     []keyValue
							ExplicitBounds []float64
						}
					}
				}
			}
		}
	}
}

// facts are what the collector was told, one thing a key, without what differs
// from run to run.
type facts map[string]string

// received returns what the collector has of a service.
func received(t *testing.T, c *servertest.Server, service string) facts {
	all := facts{}
	for _, line := range c.Lines("received") {
		var b batch
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.Traces.ResourceSpans {
			for _, sc := range r.ScopeSpans {
				for _, s := range sc.Spans {
					if of(r.Resource, service) {
						all.span(s.Name, s.Kind, s.Status.Code, s.Attributes)
					}
				}
			}
		}
		for _, r := range b.Metrics.ResourceMetrics {
			for _, sc := range r.ScopeMetrics {
				for _, m := range sc.Metrics {
					if !of(r.Resource, service) {
						continue
					}
					var points [][]keyValue
					kind := "gauge"
					switch {
					case m.Histogram != nil:
						kind = "histogram"
						for _, p := range m.Histogram.DataPoints {
							points, kind = append(points, p.Attributes), fmt.Sprint("histogram ", p.ExplicitBounds)
						}
					case m.Sum != nil:
						kind = "sum"
						for _, p := range m.Sum.DataPoints {
							points = append(points, p.Attributes)
						}
					default:
						for _, p := range m.Gauge.DataPoints {
							points = append(points, p.Attributes)
						}
					}
					all.metric(m.Name, m.Unit, kind, points)
				}
			}
		}
	}
	return all
}

func of(resource json.RawMessage, service string) bool {
	return strings.Contains(string(resource), `"`+service+`"`)
}

var kinds = []string{"", "internal", "server", "client", "producer", "consumer"}

// span notes a span, under what was called.
func (f facts) span(name string, kind, status int, attrs []keyValue) {
	values := read(attrs)
	call := kinds[kind] + " "
	if method := values["http.request.method"]; method != "" {
		path := values["url.path"]
		if full := strings.SplitN(values["url.full"], "/", 4); len(full) == 4 {
			path, _, _ = strings.Cut("/"+full[3], "?")
		}
		call += method + " " + path
	} else {
		call += "rpc " + values["rpc.response.status_code"]
	}
	f["span "+call+": name"] = name
	f["span "+call+": status"] = []string{"unset", "ok", "error"}[status]
	for k, v := range values {
		f["span "+call+": "+k] = v
	}
}

func (f facts) metric(name, unit, kind string, points [][]keyValue) {
	f["metric "+name+": kind"], f["metric "+name+": unit"] = kind, unit
	values := map[string]map[string]bool{}
	for _, p := range points {
		for k, v := range read(p) {
			if values[k] == nil {
				values[k] = map[string]bool{}
			}
			values[k][v] = true
		}
	}
	for k, v := range values {
		f["metric "+name+": "+k] = strings.Join(slices.Sorted(maps.Keys(v)), " ")
	}
}

var port = regexp.MustCompile(`127\.0\.0\.1:\d{4,}`)

// read returns attributes as text with their types, without what differs from
// run to run.
func read(attrs []keyValue) map[string]string {
	values := map[string]string{}
	for _, a := range attrs {
		for kind, v := range a.Value {
			text := port.ReplaceAllString(fmt.Sprint(v), "127.0.0.1:PORT")
			switch {
			case strings.HasSuffix(a.Key, ".port") && len(text) > 3:
				text = "PORT"
			case a.Key == "platform.request.id":
				text = "ID"
			}
			if kind != "stringValue" {
				text += " (" + strings.TrimSuffix(kind, "Value") + ")"
			}
			values[a.Key] = text
		}
	}
	return values
}

// difference is one that is meant.
type difference struct{ what, ours, theirs, why string }

func TestSameProgramWithOurWrapperAndWithOpenTelemetrys(t *testing.T) {
	c := servertest.SharedCollector(t)
	ours(t, c.AddrOf("otlphttp")).run(t)
	theirs(t, c.AddrOf("otlphttp")).run(t)
	var mine, others facts
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mine, others = received(t, c, "ours"), received(t, c, "theirs")
		if done(mine) && done(others) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the collector has\n%v\n%v", mine, others)
		}
	}
	met := map[int]bool{}
	keys := maps.Clone(mine)
	maps.Copy(keys, others)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if mine[k] == others[k] {
			continue
		}
		i := slices.IndexFunc(differences, func(d difference) bool {
			return matches(d.what, k) && matches(d.ours, mine[k]) && matches(d.theirs, others[k])
		})
		if i < 0 {
			t.Errorf("not in the table: %s\n\tours   %q\n\ttheirs %q", k, mine[k], others[k])
			continue
		}
		met[i] = true
	}
	for i, d := range differences {
		if !met[i] {
			t.Errorf("in the table, but the same: %s", d.what)
		}
	}
}

// done reports whether all that the program says has come.
func done(f facts) bool {
	spans, metrics := 0, 0
	for k := range f {
		if strings.HasSuffix(k, ": name") {
			spans++
		}
		if strings.HasSuffix(k, ".duration: unit") {
			metrics++
		}
	}
	return spans >= 15 && metrics >= 4
}

// matches compares with a pattern in which * stands for anything.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$").MatchString(text)
}
