package otlp

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	engine "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/metrics"
)

// sums is a server that keeps the values of the points of the last request.
type sums struct{ last []string }

func (s *sums) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var request struct {
		ResourceMetrics []struct {
			ScopeMetrics []struct {
				Metrics []struct {
					Sum struct{ DataPoints []struct{ AsInt string } }
				}
			}
		}
	}
	if err := json.Unmarshal(b, &request); err != nil {
		return nil, err
	}
	s.last = nil
	for _, one := range request.ResourceMetrics {
		for _, sc := range one.ScopeMetrics {
			for _, m := range sc.Metrics {
				for _, p := range m.Sum.DataPoints {
					s.last = append(s.last, p.AsInt)
				}
			}
		}
	}
	return httptest.NewRecorder().Result(), nil
}

// counters is a snapshot of counters with these ids, each at the same count.
func counters(count uint64, ids ...uint64) *metrics.Snapshot {
	f := metrics.Family{Name: "n", Kind: metrics.KindCounter, Keys: []string{"k"}}
	for _, id := range ids {
		f.Series = append(f.Series, metrics.Series{ID: id, Values: []string{"v"}, Count: count, Value: float64(count)})
	}
	return &metrics.Snapshot{Families: []metrics.Family{f}}
}

// What a driver with deltas keeps of series that were freed is bounded, and what
// it keeps of the others is still right.
func TestFreedSeriesAreForgotten(t *testing.T) {
	for _, c := range []struct {
		gone int // series that are freed
		kept int // how many the driver knows then
	}{{10, 12}, {66, 68}, {67, 2}, {5000, 2}} {
		s := &sums{}
		client, err := otlp.New("collector:4318", otlp.Metrics(), []engine.Option{engine.WithDelta(), engine.WithJSON(), engine.WithoutGzip(), engine.WithClient(&http.Client{Transport: s})})
		if err != nil {
			t.Fatal(err)
		}
		d := &driver{Client: client, began: map[uint64]point{}}
		export := func(snap *metrics.Snapshot, want ...string) {
			t.Helper()
			if _, err := d.Export(t.Context(), snap); err != nil {
				t.Fatal(err)
			}
			if want != nil && !slices.Equal(s.last, want) {
				t.Errorf("%d gone: sent %v, want %v", c.gone, s.last, want)
			}
		}
		ids := make([]uint64, c.gone+2)
		for i := range ids {
			ids[i] = uint64(i + 1)
		}
		export(counters(10, ids...))
		export(counters(13, 1, 2), "3", "3")
		if len(d.began) != c.kept {
			t.Errorf("%d series are gone: %d are kept, want %d", c.gone, len(d.began), c.kept)
		}
		export(counters(14, 1, 2), "1", "1")
	}
}

// Totals need nothing to be kept.
func TestTotalsKeepNothing(t *testing.T) {
	s := &sums{}
	client, err := otlp.New("collector:4318", otlp.Metrics(), []engine.Option{engine.WithJSON(), engine.WithoutGzip(), engine.WithClient(&http.Client{Transport: s})})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{Client: client, began: map[uint64]point{}}
	for _, count := range []uint64{3, 5} {
		if _, err := d.Export(t.Context(), counters(count, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.began) != 0 || !slices.Equal(s.last, []string{"5"}) {
		t.Errorf("%d series are kept, sent %v", len(d.began), s.last)
	}
}
