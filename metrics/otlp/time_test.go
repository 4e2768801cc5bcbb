package otlp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/otlp"
)

// taken is what a server in the same process took, and whether it takes the
// n-th request, of which the first is Ping.
type taken struct {
	mu     sync.Mutex
	n      int
	all    []metric
	answer func(n int) int
}

// RoundTrip is a server without a socket, for tests whose time is not the clock's.
func (s *taken) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func (s *taken) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.answer != nil {
		code := s.answer(s.n)
		if code != http.StatusOK {
			w.WriteHeader(code)
			return
		}
	}
	b, _ := io.ReadAll(r.Body)
	var request struct {
		ResourceMetrics []struct {
			ScopeMetrics []struct{ Metrics []metric }
		}
	}
	_ = json.Unmarshal(b, &request)
	for _, r := range request.ResourceMetrics {
		for _, sc := range r.ScopeMetrics {
			s.all = append(s.all, sc.Metrics...)
		}
	}
}

func (s *taken) open(t *testing.T, opts ...engineotlp.Option) metrics.Metrics {
	t.Helper()
	opts = append(opts, engineotlp.WithJSON(), engineotlp.WithoutGzip(), engineotlp.WithClient(&http.Client{Transport: s}))
	m, err := metrics.New(otlp.Backend("collector:4318", opts...), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A point covers the time since its series began, or with WithDelta since the
// last point that arrived. So a receiver sees a restart: the series begins
// again, later.
func TestPointsSayWhatTimeTheyCover(t *testing.T) {
	for name, c := range map[string]struct {
		opts   []engineotlp.Option
		starts []int // minutes after the first process began, for each export
		values []float64
	}{
		"totals": {nil, []int{1, 1, 1, 11}, []float64{1, 2, 3, 1}},
		"delta":  {[]engineotlp.Option{engineotlp.WithDelta()}, []int{1, 2, 3, 11}, []float64{1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := &taken{}
				for _, exports := range []int{3, 1} { // two processes, one after the other
					m := s.open(t, c.opts...)
					time.Sleep(time.Minute)
					for range exports {
						m.Counter("n").Inc()
						m.Histogram("h").Observe(1)
						m.Gauge("g").Set(1)
						time.Sleep(time.Minute)
						if err := m.Flush(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					s.answer = func(int) int { return http.StatusBadRequest } // the export of Close
					m.Close(t.Context())
					s.answer = nil
					time.Sleep(time.Until(began.Add(10 * time.Minute)))
				}
				i := map[string]int{}
				for _, one := range s.all {
					p := one.kind().DataPoints[0]
					k := i[one.Name]
					i[one.Name]++
					start, at := fmt.Sprint(began.Add(time.Duration(c.starts[k])*time.Minute).UnixNano()), began.Add([]time.Duration{2, 3, 4, 12}[k]*time.Minute)
					value := c.values[k]
					if one.Gauge != nil {
						start, value = "", 1
					}
					if p.StartTimeUnixNano != start || p.TimeUnixNano != fmt.Sprint(at.UnixNano()) || p.value() != value {
						t.Errorf("%s, export %d: %v from %s to %s, want %v from %s to %d", one.Name, k, p.value(), p.StartTimeUnixNano, p.TimeUnixNano, value, start, at.UnixNano())
					}
				}
				if fmt.Sprint(i) != "map[g:4 h:4 n:4]" {
					t.Errorf("exports %v", i)
				}
			})
		})
	}
}

// Whichever request fails, and however, the deltas that arrived add up to what
// was counted.
func TestDeltasAddUpWhateverFails(t *testing.T) {
	for _, code := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError} {
		for nth := 2; nth < 8; nth++ {
			synctest.Test(t, func(t *testing.T) {
				s := &taken{answer: func(n int) int {
					if n == nth {
						return code
					}
					return http.StatusOK
				}}
				m := s.open(t, engineotlp.WithDelta(), engineotlp.WithMaxRequest(1200))
				v, h := m.CounterVec("n", []string{"i"}), m.HistogramVec("h", []string{"i"}, metrics.Buckets(1))
				for range 3 {
					for i := range 12 {
						v.With(fmt.Sprint(i)).Add(2)
						h.With(fmt.Sprint(i)).Observe(.5)
					}
					_ = m.Flush(t.Context())
				}
				if err := m.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				var counted, observed float64
				requests := s.n
				for _, one := range s.all {
					for _, p := range one.kind().DataPoints {
						if one.Name == "n" {
							counted += p.value()
						} else {
							observed += p.value()
						}
					}
				}
				if counted != 72 || observed != 36 || requests < 8 {
					t.Errorf("%d for request %d of %d: counted %v, observed %v, want 72 and 36", code, nth, requests, counted, observed)
				}
			})
		}
	}
}

// Points that a server refuses count as dropped, and do not come again.
func TestRefusedPointsAreCounted(t *testing.T) {
	for answer, dropped := range map[string]uint64{
		`{}`: 0, `{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}`: 2, `{"partialSuccess":{"rejectedDataPoints":1}}`: 1,
	} {
		posts := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if posts++; posts == 2 { // behind Ping
				io.WriteString(w, answer)
			}
		}))
		defer s.Close()
		m, err := metrics.New(otlp.Backend(s.URL, engineotlp.WithJSON()), metrics.WithInterval(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		m.Counter("n").Inc()
		err = m.Flush(t.Context())
		if st := m.Stats().Exporters[0]; st.Dropped != dropped || (err != nil) != (dropped > 0) {
			t.Errorf("%s: %+v, %v", answer, st, err)
		}
		m.Close(t.Context())
	}
}

// How often a request is sent, and for how long, by what the server says.
func TestHowLongAnExportIsTried(t *testing.T) {
	for name, c := range map[string]struct {
		code        int // 0: no answer
		after       string
		least, most int // requests
		says        string
	}{
		"no answer":             {0, "", 3, 3, "no route"},
		"not now":               {http.StatusServiceUnavailable, "", 5, 100, "503"},
		"in an hour":            {http.StatusTooManyRequests, "3600", 1, 1, "no time to try again"},
		"in a second":           {http.StatusTooManyRequests, "1", 4, 6, "429"},
		"never":                 {http.StatusBadRequest, "", 1, 1, "400"},
		"taken, the twin of it": {http.StatusOK, "", 1, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				server := roundTrip(func(*http.Request) (*http.Response, error) {
					if n++; n == 1 { // Ping
						return httptest.NewRecorder().Result(), nil
					}
					if c.code == 0 {
						return nil, errors.New("no route")
					}
					w := httptest.NewRecorder()
					if c.after != "" {
						w.Header().Set("Retry-After", c.after)
					}
					w.WriteHeader(c.code)
					return w.Result(), nil
				})
				m, err := metrics.New(otlp.Backend("collector", engineotlp.WithClient(&http.Client{Transport: server})), metrics.WithInterval(time.Hour), metrics.WithTimeout(5*time.Second))
				if err != nil {
					t.Fatal(err)
				}
				m.Counter("n").Inc()
				began := time.Now()
				err = m.Flush(t.Context())
				if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
				if took := time.Since(began); n-1 < c.least || n-1 > c.most || took > 5*time.Second {
					t.Errorf("%d requests in %v, want %d to %d", n-1, took, c.least, c.most)
				}
				n = -100 // Close may send again
				m.Close(t.Context())
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A series that no request can hold is dropped and said, and costs no other one.
func TestASeriesOverTheLimitIsDroppedAlone(t *testing.T) {
	for size, dropped := range map[int]uint64{100: 0, 3000: 1} {
		s := &taken{}
		m := s.open(t, engineotlp.WithMaxRequest(2000))
		v := m.CounterVec("n", []string{"k"})
		for _, label := range []string{"a", strings.Repeat("b", size), "c"} {
			v.With(label).Inc()
		}
		err := m.Flush(t.Context())
		points := 0
		for _, one := range s.all {
			points += len(one.kind().DataPoints)
			if len(one.kind().DataPoints) == 0 {
				t.Errorf("%d bytes: a metric without points was sent: %+v", size, one)
			}
		}
		if st := m.Stats().Exporters[0]; st.Dropped != dropped || points != int(3-dropped) || (err != nil) != (dropped > 0) || err != nil && !strings.Contains(err.Error(), "over the 2000 bytes") {
			t.Errorf("%d bytes: %d points, %+v, %v", size, points, st, err)
		}
		m.Close(t.Context())
	}
}

func TestUnitsAreUCUMs(t *testing.T) {
	s := &taken{}
	m := s.open(t)
	units := map[string]string{"a": "seconds", "b": "s", "c": "bytes", "d": "By", "e": "{request}", "f": "ratio", "g": "1"}
	for name, unit := range units {
		m.Gauge(name, metrics.Unit(unit)).Set(1)
	}
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, one := range s.all {
		want := map[string]string{"a": "s", "b": "s", "c": "By", "d": "By", "e": "{request}", "f": "1", "g": "1"}[one.Name]
		if one.Unit != want {
			t.Errorf("%q is %q, want %q", units[one.Name], one.Unit, want)
		}
	}
	m.Close(t.Context())
}

// Exponential buckets go out as they are, with deltas as what came since.
func TestNativeHistograms(t *testing.T) {
	for name, c := range map[string]struct {
		opts []engineotlp.Option
		want []string // positive and negative counts, zeros and the number of the second export
	}{
		"totals": {nil, []string{"[2]", "[1]", "1", "4"}},
		"deltas": {[]engineotlp.Option{engineotlp.WithDelta()}, []string{"[1]", "[0]", "0", "1"}},
	} {
		var last []byte
		keep := roundTrip(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if len(b) > 2 {
				last = b
			}
			return httptest.NewRecorder().Result(), err
		})
		opts := append(c.opts, engineotlp.WithJSON(), engineotlp.WithoutGzip(), engineotlp.WithClient(&http.Client{Transport: keep}))
		m, err := metrics.New(otlp.Backend("collector:4318", opts...), metrics.WithInterval(time.Hour), metrics.WithNativeHistograms())
		if err != nil {
			t.Fatal(err)
		}
		h := m.Histogram("h")
		for _, values := range [][]float64{{1, -1, 0}, {1}} {
			for _, v := range values {
				h.Observe(v)
			}
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var request struct {
			ResourceMetrics []struct {
				ScopeMetrics []struct {
					Metrics []struct {
						ExponentialHistogram struct {
							DataPoints []struct {
								Count, ZeroCount   any
								Positive, Negative struct{ BucketCounts []string }
							}
						}
					}
				}
			}
		}
		if err := json.Unmarshal(last, &request); err != nil {
			t.Fatal(err)
		}
		p := request.ResourceMetrics[0].ScopeMetrics[0].Metrics[0].ExponentialHistogram.DataPoints[0]
		if p.ZeroCount == nil {
			p.ZeroCount = "0"
		}
		if got := []string{fmt.Sprint(p.Positive.BucketCounts), fmt.Sprint(p.Negative.BucketCounts), fmt.Sprint(p.ZeroCount), fmt.Sprint(p.Count)}; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q: %s", name, got, c.want, last)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		opt  metrics.Option
		want string
	}{
		"address": {otlp.Backend("ftp://x"), "scheme"},
		"nil":     {otlp.Backend("x", nil), "option 1 is nil"},
	} {
		if _, err := metrics.New(c.opt); !errors.Is(err, metrics.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
