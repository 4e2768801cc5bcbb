package otlp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/otlp"
)

// Counters and histograms are differences with WithDelta, and all else is as it is; who
// the process is stands in each request.
func TestKindsInRequests(t *testing.T) {
	for name, c := range map[string]struct {
		opts []engineotlp.Option
		want string // temporality and monotony by metric
	}{
		"totals": {nil, "map[c:2 true g:0 false h:2 false u:2 false]"},
		"deltas": {[]engineotlp.Option{engineotlp.WithDelta()}, "map[c:1 true g:0 false h:1 false u:2 false]"},
	} {
		got := map[string]string{}
		var buckets []string
		taken := roundTrip(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			var request struct {
				ResourceMetrics []struct {
					Resource struct {
						Attributes []struct {
							Key   string
							Value struct{ StringValue string }
						}
					}
					ScopeMetrics []struct{ Metrics []metric }
				}
			}
			if err := json.Unmarshal(b, &request); err != nil {
				return nil, err
			}
			for _, r := range request.ResourceMetrics {
				attributes := map[string]string{}
				for _, a := range r.Resource.Attributes {
					attributes[a.Key] = a.Value.StringValue
				}
				if attributes["service.name"] != "shop" || attributes["zone"] != "a" {
					t.Errorf("%s: the process is %v", name, attributes)
				}
				for _, sc := range r.ScopeMetrics {
					for _, m := range sc.Metrics {
						got[m.Name] = fmt.Sprint(m.kind().AggregationTemporality, m.kind().IsMonotonic)
						if m.Histogram != nil {
							buckets = m.Histogram.DataPoints[0].BucketCounts
						}
					}
				}
			}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})
		opts := append(c.opts, engineotlp.WithJSON(), engineotlp.WithoutGzip(), engineotlp.WithClient(&http.Client{Transport: taken}))
		m, err := metrics.New(otlp.Backend("collector:4318", opts...), metrics.WithInterval(time.Hour),
			metrics.WithResource(metrics.Label{Key: "service.name", Value: "shop"}, metrics.Label{Key: "zone", Value: "a"}))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			m.Counter("c").Inc()
			m.UpDownCounter("u").Add(1)
			m.Gauge("g").Set(1)
			m.Histogram("h", metrics.Buckets(2)).Observe(1)
			clear(got)
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("%s: %v, want %s", name, got, c.want)
			}
			first := 1 // in the first bucket
			if name == "totals" {
				first += n
			}
			if want := []string{fmt.Sprint(first), "0"}; !slices.Equal(buckets, want) {
				t.Errorf("%s, export %d: %q are in the buckets, want %q", name, n, buckets, want)
			}
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
