package event_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
)

func newStream(t *testing.T, opts ...event.Option) event.Stream {
	t.Helper()
	s, err := event.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// refused checks that an error is of a kind and has words.
func refused(t *testing.T, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %q and %v", err, says, kind)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	open := func(context.Context, event.Settings) (event.Driver, error) { return event.NewMemory(), nil }
	for says, opts := range map[string][]event.Option{
		"nil":                    {nil},
		"a driver needs a name":  {event.WithDriver("", open)},
		"function that opens":    {event.WithDriver("x", nil)},
		"memory and x":           {event.Memory(), event.WithDriver("x", open)},
		"up to 64":               {event.WithNamespace(strings.Repeat("n", 65))},
		`"a/b"`:                  {event.WithNamespace("a/b")},
		"source":                 {event.WithSource("\x00")},
		"dial timeout":           {event.WithDialTimeout(0)},
		"timeout":                {event.WithTimeout(0)},
		"logger":                 {event.WithLogger(nil)},
		"limit of 0 bytes":       {event.WithMaxBytes(0)},
		"negative retention":     {event.WithRetention(event.Retention{Age: -1})},
		"negative retention ":    {event.WithRetention(event.Retention{Count: -1})},
		"negative retention  ":   {event.WithRetention(event.Retention{Bytes: -1})},
		"retention interval":     {event.WithRetentionEvery(0)},
		"a journal needs a fold": {event.Journal("")},
	} {
		_, err := event.New(opts...)
		refused(t, err, event.ErrInvalid, strings.TrimSpace(says))
	}
	newStream(t, event.WithNamespace(strings.Repeat("n", 59)+"aZ0_-."[1:]), event.WithSource("s"), event.WithDialTimeout(1), event.WithTimeout(time.Hour),
		event.WithMaxBytes(1), event.WithRetention(event.Retention{}), event.WithRetentionEvery(time.Hour))
}

// What a record may hold, each with the nearest that is refused.
func TestTheLimitsOfRecords(t *testing.T) {
	s := newStream(t, event.WithMaxBytes(10))
	long := strings.Repeat("x", 1<<16-1)
	rec := func(change func(r *event.Record)) *event.Record {
		r := &event.Record{Type: "t"}
		change(r)
		return r
	}
	text := func(set func(r *event.Record, s string)) func(s string) *event.Record {
		return func(s string) *event.Record { return rec(func(r *event.Record) { set(r, s) }) }
	}
	for name, of := range map[string]func(s string) *event.Record{
		"type": text(func(r *event.Record, s string) { r.Type = s }), "ID": text(func(r *event.Record, s string) { r.ID = s }),
		"RootID": text(func(r *event.Record, s string) { r.RootID = s }), "ParentID": text(func(r *event.Record, s string) { r.ParentID = s }),
		"Source": text(func(r *event.Record, s string) { r.Source = s }), "Subject": text(func(r *event.Record, s string) { r.Subject = s }),
		"ContentType": text(func(r *event.Record, s string) { r.ContentType = s }),
	} {
		for _, good := range []string{long, "é", "a b", "~"} {
			if err := s.Publish(t.Context(), of(good)); err != nil {
				t.Errorf("%s %.9q: %v", name, good, err)
			}
		}
		refused(t, s.Publish(t.Context(), of(long+"x")), event.ErrTooLarge, name+" has 65536 bytes")
		refused(t, s.Publish(t.Context(), of("\xe9")), event.ErrInvalid, name+` "\xe9" is not UTF-8`)
		refused(t, s.Publish(t.Context(), of("a\x1fb")), event.ErrInvalid, "control character")
		refused(t, s.Publish(t.Context(), of("a\x7fb")), event.ErrInvalid, "control character")
		if _, err := event.Prepare(t.Context(), of("\x00")); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("Prepare of a bad %s: %v", name, err)
		}
	}
	metadata := func(k, v string) *event.Record {
		return rec(func(r *event.Record) { r.Metadata = map[string]string{k: v} })
	}
	at := func(text string) *event.Record {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return rec(func(r *event.Record) { r.Time = when })
	}
	data := func(n int) *event.Record { return rec(func(r *event.Record) { r.Data = make([]byte, n) }) }
	for _, c := range []struct {
		good, bad *event.Record
		kind      error
		says      string
	}{
		{rec(func(r *event.Record) { r.Type = "t" }), &event.Record{}, event.ErrInvalid, "empty type"},
		{metadata("k", ""), metadata("", "v"), event.ErrInvalid, "empty metadata key"},
		{metadata("é", "v"), metadata("\xe9", "v"), event.ErrInvalid, "metadata key"},
		{metadata("k", "\x00é"), metadata("k", "\xe9"), event.ErrInvalid, `metadata "k" is not UTF-8`},
		{metadata("k", long), metadata("k", long+"x"), event.ErrTooLarge, "metadata has 65537 bytes"},
		{data(10), data(11), event.ErrTooLarge, "data has 11 bytes"},
		{at("1678-01-01T00:00:00Z"), at("1677-12-31T23:59:59Z"), event.ErrInvalid, "1678 to 2261"},
		{at("2261-12-31T23:59:59Z"), at("2262-01-01T00:00:00Z"), event.ErrInvalid, "1678 to 2261"},
	} {
		if err := s.Publish(t.Context(), c.good); err != nil {
			t.Errorf("beside %q: %v", c.says, err)
		}
		refused(t, s.Publish(t.Context(), c.bad), c.kind, c.says)
	}
	refused(t, s.Publish(t.Context(), nil), event.ErrInvalid, "record 0 is nil")
	_, err := event.Prepare(t.Context(), nil)
	refused(t, err, event.ErrInvalid, "nil record")
	if r, err := event.Prepare(t.Context(), data(11)); err != nil || r.ID == "" || r.RootID != r.ID || r.Time.IsZero() {
		t.Errorf("Prepare: %+v, %v", r, err)
	}
}

func TestTheLimitsOfSubscriptions(t *testing.T) {
	s := newStream(t)
	name := strings.Repeat("n", 255)
	type opts = []event.SubscribeOption
	for _, c := range []struct {
		good, bad opts
		says      string
	}{
		{opts{event.Group(name)}, opts{event.Group(name + "n")}, "has 256 bytes"},
		{opts{event.Group("é")}, opts{event.Group("")}, "has 0 bytes"},
		{opts{event.Group("a b")}, opts{event.Group("a\nb")}, "control character"},
		{opts{event.Group("g"), event.Consumer(name)}, opts{event.Group("g"), event.Consumer(name + "n")}, "has 256 bytes"},
		{opts{event.Group("g"), event.Consumer("c")}, opts{event.Consumer("c")}, "without a group"},
		{opts{event.Types("a.*")}, opts{event.Types("")}, "pattern"},
		{opts{event.From(event.At(time.Unix(0, 0)))}, opts{event.From(event.At(time.Time{}))}, "zero time"},
		{opts{event.From(event.After("0"))}, opts{event.From(event.After(""))}, "empty id"},
		{opts{event.From(event.Beginning())}, opts{event.From(event.After("\x00"))}, "control character"},
		{opts{event.From(event.Now())}, opts{event.From(event.Position{Kind: 99})}, "unknown position"},
		{opts{event.Concurrency(1)}, opts{event.Concurrency(0)}, "concurrency 0"},
		{opts{event.Concurrency(1 << 8)}, opts{event.Concurrency(1<<16 + 1)}, "concurrency 65537"},
		{opts{event.Batch(1)}, opts{event.Batch(0)}, "batch 0"},
		{opts{event.Batch(1 << 16)}, opts{event.Batch(1<<16 + 1)}, "batch 65537"},
		{opts{event.Ordered(event.ByRoot)}, opts{event.Ordered(nil)}, "nil key"},
		{opts{event.MaxAttempts(0)}, opts{event.MaxAttempts(-1)}, "-1 attempts"},
		{opts{event.Backoff(1, 1)}, opts{event.Backoff(0, 1)}, "backoff from 0s"},
		{opts{event.Backoff(1, 2)}, opts{event.Backoff(2, 1)}, "backoff from 2ns"},
		{opts{event.DeadLetter("dead.x")}, opts{event.DeadLetter("deadly")}, `begins with "dead."`},
		{opts{event.DeadLetter("dead.é")}, opts{event.DeadLetter("")}, "empty type"},
		{opts{event.HandlerTimeout(0)}, opts{event.HandlerTimeout(-1)}, "handler timeout -1ns"},
		{opts{event.HandlerTimeout(10 * time.Millisecond)}, opts{event.HandlerTimeout(10*time.Millisecond - 1)}, "10 ms or more"},
		{opts{event.AckWait(10 * time.Millisecond)}, opts{event.AckWait(10*time.Millisecond - 1)}, "10 ms or more"},
		{opts{event.Ordered(event.ByRoot), event.Group("two"), event.Partitions(2)}, opts{event.Ordered(event.ByRoot), event.Group("one"), event.Partitions(1)}, "1 partitions"},
		{opts{event.Ordered(event.ByRoot), event.Group("many"), event.Partitions(256)}, opts{event.Ordered(event.ByRoot), event.Group("more"), event.Partitions(257)}, "257 partitions"},
		{nil, opts{event.Group("g"), event.Partitions(2)}, "needs Ordered and Group"},
		{nil, opts{event.Ordered(event.ByRoot), event.Partitions(2)}, "needs Ordered and Group"},
		{nil, opts{event.Ordered(event.ByRoot), event.Group(name), event.Partitions(2)}, "group"}, // its parts have longer names
		{nil, opts{nil}, "nil option"},
	} {
		h := func(context.Context, *event.Record) error { return nil }
		sub, err := s.Subscribe(t.Context(), h, c.good...)
		if err != nil {
			t.Errorf("beside %q: %v", c.says, err)
		} else if err := sub.Close(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = s.Subscribe(t.Context(), h, c.bad...)
		refused(t, err, event.ErrInvalid, c.says)
	}
	batch := func(context.Context, []*event.Record) error { return nil }
	sub, err := s.SubscribeBatch(t.Context(), batch, event.BatchWait(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = s.SubscribeBatch(t.Context(), batch, event.BatchWait(-1))
	refused(t, err, event.ErrInvalid, "batch wait -1ns")
}

func TestTheLimitsOfQueries(t *testing.T) {
	s := newStream(t)
	long := strings.Repeat("x", 1<<16-1)
	for _, c := range []struct {
		good, bad event.QueryOption
		kind      error
		says      string
	}{
		{event.ID("i"), event.ID(""), event.ErrInvalid, "empty id"},
		{event.Source(long), event.Source(long + "x"), event.ErrTooLarge, "source has 65536 bytes"},
		{event.Root("r"), event.Root(""), event.ErrInvalid, "empty root id"},
		{event.Subject("s"), event.Subject("\x00"), event.ErrInvalid, "subject"},
		{event.Limit(1), event.Limit(0), event.ErrInvalid, "limit 0"},
		{event.Types("a"), event.Types(""), event.ErrInvalid, "pattern"},
		{event.From(event.Beginning()), event.From(event.At(time.Time{})), event.ErrInvalid, "zero time"},
		{event.From(event.After("1")), event.From(event.After("x")), event.ErrInvalid, "not one of this stream"},
		{event.Reverse(), nil, event.ErrInvalid, "nil option"},
	} {
		for _, err := range s.Query(t.Context(), c.good) {
			if err != nil {
				t.Errorf("beside %q: %v", c.says, err)
			}
		}
		asked := 0
		for _, err := range s.Query(t.Context(), c.bad) {
			asked++
			refused(t, err, c.kind, c.says)
		}
		if asked != 1 {
			t.Errorf("%q was said %d times", c.says, asked)
		}
		_, err := s.Aggregate(t.Context(), event.Aggregation{}, c.bad)
		refused(t, err, c.kind, c.says)
	}
	asked := 0
	for _, err := range s.Query(t.Context(), event.Reverse(), event.From(event.After("x"))) {
		asked++
		refused(t, err, event.ErrInvalid, "not one of this stream")
	}
	if asked != 1 {
		t.Errorf("back from what is no position: said %d times", asked)
	}
	for says, a := range map[string]event.Aggregation{"spans of -1ns": {Every: -1}, "unknown dimension": {Per: []event.Dimension{event.PerType, "color"}}} {
		_, err := s.Aggregate(t.Context(), a)
		refused(t, err, event.ErrInvalid, says)
	}
	if _, err := s.Aggregate(t.Context(), event.Aggregation{Per: []event.Dimension{event.PerType, event.PerSource, event.PerRoot, event.PerSubject}}); err != nil {
		t.Error(err)
	}
	nobody := event.From(event.AfterID("nobody"))
	for _, err := range s.Query(t.Context(), nobody) {
		refused(t, err, event.ErrNotFound, `"nobody"`)
	}
	_, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, nobody)
	refused(t, err, event.ErrNotFound, `"nobody"`)
	refused(t, s.Schedule(t.Context(), "n", event.Every(250*365*24*time.Hour), &event.Record{Type: "t"}), event.ErrInvalid, "due at")
	refused(t, s.DeleteGroup(t.Context(), ""), event.ErrInvalid, "has 0 bytes")
	refused(t, s.DeleteGroup(t.Context(), "nobody"), event.ErrNotFound, "nobody")
}

// What a backend can't do is refused.
func TestWhatABackendCannotDo(t *testing.T) {
	backend := event.WithDriver("plain", func(context.Context, event.Settings) (event.Driver, error) {
		return &plain{more: make(chan struct{})}, nil
	})
	_, err := event.New(backend, event.WithRetention(event.Retention{Count: 1}))
	refused(t, err, event.ErrUnsupported, "retention")
	s := newStream(t, backend)
	refused(t, s.PublishAt(t.Context(), time.Now().Add(time.Hour), &event.Record{Type: "t"}), event.ErrUnsupported, "scheduling")
	refused(t, s.Schedule(t.Context(), "n", event.Every(time.Hour), &event.Record{Type: "t"}), event.ErrUnsupported, "scheduling")
	_, err = s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g"), event.Ordered(event.ByRoot), event.Partitions(2))
	refused(t, err, event.ErrUnsupported, "partitions")
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if l, err := sub.Lag(t.Context()); err != nil || l.Behind != -1 {
		t.Errorf("Lag: %+v, %v, want that it is not known", l, err)
	}
}

func TestReplierNeedsASubscription(t *testing.T) {
	h := event.Replier(func(context.Context, *event.Record) (*event.Record, error) { return &event.Record{Type: "answer"}, nil })
	if err := h(t.Context(), &event.Record{Type: "t"}); err != nil {
		t.Errorf("of a record that asks for no reply: %v", err)
	}
	refused(t, h(t.Context(), &event.Record{Type: "t", Metadata: map[string]string{"reply-to": "_reply.u"}}), event.ErrInvalid, "outside of a subscription")
	cause := errors.New("cause")
	if err := event.Terminate(cause); !errors.Is(err, cause) {
		t.Errorf("Terminate hides its cause: %v", err)
	}
	if err := event.Retry(cause, time.Second); !errors.Is(err, cause) {
		t.Errorf("Retry hides its cause: %v", err)
	}
}

// A closed memory takes nothing, whoever asks.
func TestAClosedMemory(t *testing.T) {
	m := event.NewMemory()
	plan := m.(eventdriver.Scheduler)
	item := event.Scheduled{ID: "1", Due: time.Now().Add(time.Hour), Record: &event.Record{ID: "1", Type: "t"}}
	if err := plan.Schedule(t.Context(), []event.Scheduled{item}); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(t.Context(), "x"); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("Wait behind what is no position: %v", err)
	}
	if _, err := m.(eventdriver.Behinder).Behind(t.Context(), "x"); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("Behind what is no position: %v", err)
	}
	if _, _, err := plan.Scheduled(t.Context(), "x", math.MaxInt); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("Scheduled from what is no place: %v", err)
	}
	if _, err := m.Join(t.Context(), event.GroupConfig{Name: "g", Start: event.After("x")}); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("Join from what is no position: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := m.Wait(ended, "0"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait for what does not come: %v, want that of the context", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, appended := m.Append(t.Context(), []*event.Record{{ID: "1", Type: "t"}})
	_, fired := plan.Fire(t.Context(), nil)
	for what, err := range map[string]error{
		"Append": appended, "Fire": fired, "one record": event.AppendOne(m, &event.Record{ID: "1", Type: "t"}),
		"Schedule": plan.Schedule(t.Context(), []event.Scheduled{item}), "Unschedule": plan.Unschedule(t.Context(), "1"),
	} {
		if !errors.Is(err, fault.Closed) {
			t.Errorf("%s: %v, want that it is closed", what, err)
		}
	}
}
