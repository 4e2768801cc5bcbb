package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/monitor"
	monitorevent "github.com/micro/go-platform/monitor/event"
)

// Each change of state, readiness or phase is a record, and nothing else is.
func TestWhatIsAChange(t *testing.T) {
	in := monitor.Instance{ID: "a", Service: "orders"}
	was := monitor.Status{Instance: in, State: monitor.Pass, Ready: true, Phase: monitor.Running}
	for name, c := range map[string]struct {
		change func(s *monitor.Status)
		told   bool
		checks int
	}{
		"nothing":     {func(*monitor.Status) {}, false, 0},
		"a check":     {func(s *monitor.Status) { s.Checks = []monitor.Result{{Name: "db", State: monitor.Warn}} }, false, 0},
		"the state":   {func(s *monitor.Status) { s.State = monitor.Fail }, true, 0},
		"readiness":   {func(s *monitor.Status) { s.Ready = false }, true, 0},
		"the phase":   {func(s *monitor.Status) { s.Phase = monitor.Draining }, true, 0},
		"all of them": {func(s *monitor.Status) { s.State, s.Ready, s.Phase = monitor.Fail, false, monitor.Draining }, true, 0},
		"with checks": {func(s *monitor.Status) {
			s.State, s.Checks = monitor.Warn, []monitor.Result{{Name: "db", State: monitor.Warn}, {Name: "disk", State: monitor.Pass}, {Name: "dns", State: monitor.Fail}}
		}, true, 2},
	} {
		stream, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		now := was
		c.change(&now)
		monitorevent.OnChange(stream, func(err error) { t.Errorf("%s: %v", name, err) })(was, now)
		var got []monitorevent.Change
		for r, err := range stream.Query(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			var one monitorevent.Change
			if err := json.Unmarshal(r.Data, &one); err != nil || r.Type != monitorevent.TypeChange || r.Source != "orders" || r.Subject != "a" {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			got = append(got, one)
		}
		if (len(got) == 1) != c.told || len(got) > 1 {
			t.Errorf("%s: %d records", name, len(got))
		}
		if c.told && len(got) == 1 && (got[0].From != was.State || got[0].To != now.State || got[0].Ready != now.Ready || got[0].Phase != now.Phase || len(got[0].Checks) != c.checks) {
			t.Errorf("%s: %+v", name, got[0])
		}
		_ = stream.Close(t.Context())
	}
}

// A stream that takes nothing is said to whoever asked to be told, and by New.
func TestAStreamThatIsClosed(t *testing.T) {
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []error
	now := monitor.Status{State: monitor.Fail}
	monitorevent.OnChange(stream, func(err error) { told = append(told, err) })(monitor.Status{}, now)
	monitorevent.OnChange(stream, nil)(monitor.Status{}, now)
	if len(told) != 1 || !errors.Is(told[0], event.ErrClosed) {
		t.Errorf("told %v, want %v", told, event.ErrClosed)
	}
	if mo, err := monitor.New(monitorevent.Backend(stream)); mo != nil || !errors.Is(err, event.ErrClosed) {
		t.Errorf("New: %v, %v", mo, err)
	}
	var none *odd
	for name, stream := range map[string]event.Stream{"nil": nil, "a nil pointer": none} {
		if mo, err := monitor.New(monitorevent.Backend(stream)); mo != nil || !errors.Is(err, monitor.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, mo, err)
		}
	}
}

// odd is a stream that says nothing of its subscriptions, until it is well.
type odd struct {
	event.Stream
	refuse func() error
}

func (o *odd) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	if err := o.refuse(); err != nil {
		return nil, err
	}
	return o.Stream.Subscribe(ctx, h, opts...)
}

// A watch that the stream refuses begins again; what is no report is passed over.
func TestAWatchThatIsRefusedBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close(context.WithoutCancel(t.Context()))
		from := time.Now().Add(time.Minute)
		stream := &odd{raw, func() error {
			if time.Now().Before(from) {
				return errors.New("not now")
			}
			return nil
		}}
		lines := &strings.Builder{}
		logger := slog.New(slog.NewTextHandler(lines, nil))
		var all []monitor.Monitor
		for _, id := range []string{"a", "b"} {
			mo, err := monitor.New(monitorevent.Backend(stream), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders"}),
				monitor.WithInterval(time.Second), monitor.WithLogger(logger))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, mo)
		}
		if err := raw.Publish(t.Context(), &event.Record{Type: monitorevent.TypeReport, Data: []byte("no report")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		for i, mo := range all {
			if v := mo.Cluster().View("orders"); v.Pass != 2 {
				t.Errorf("monitor %d sees %+v", i, v)
			}
		}
		for _, mo := range all {
			if err := mo.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if said := lines.String(); !strings.Contains(said, "not now") {
			t.Errorf("the log says %q", said)
		}
	})
}
