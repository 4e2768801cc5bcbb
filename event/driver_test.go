package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
)

// plain is a driver whose members hand out everything that was appended, also
// what the group did not ask for, as the rules allow.
type plain struct {
	mu      sync.Mutex
	joined  []event.GroupConfig
	records []*event.Record
	acked   []string
	more    chan struct{}
}

func (p *plain) Append(_ context.Context, rs []*event.Record) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range rs {
		c := r.Clone()
		c.Position = fmt.Sprint(len(p.records) + 1)
		p.records = append(p.records, c)
	}
	close(p.more)
	p.more = make(chan struct{})
	return len(rs), nil
}

func (p *plain) Read(context.Context, event.ReadRequest) (event.Page, error) {
	return event.Page{}, nil
}
func (p *plain) Wait(ctx context.Context, _ string) error          { <-ctx.Done(); return ctx.Err() }
func (p *plain) Groups(context.Context) ([]event.GroupInfo, error) { return nil, nil }
func (p *plain) DeleteGroup(context.Context, string) error         { return nil }
func (p *plain) Ping(context.Context) error                        { return nil }
func (p *plain) Close(context.Context) error                       { return nil }
func (p *plain) Join(_ context.Context, g event.GroupConfig) (event.Member, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.joined = append(p.joined, g)
	return &plainMember{p: p}, nil
}

type plainMember struct {
	p    *plain
	next int
}

func (m *plainMember) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		m.p.mu.Lock()
		more := m.p.more
		var ds []event.Delivered
		for ; m.next < len(m.p.records) && len(ds) < limit; m.next++ {
			r := m.p.records[m.next]
			ds = append(ds, event.Delivered{Encoded: string(eventdriver.AppendRecord(nil, r)), Position: r.Position, Attempt: 1, Tag: r.ID})
		}
		m.p.mu.Unlock()
		if len(ds) > 0 {
			return ds, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *plainMember) Ack(_ context.Context, ds []event.Delivered) error {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	for _, d := range ds {
		m.p.acked = append(m.p.acked, d.Tag.(string))
	}
	return nil
}
func (m *plainMember) Extend(context.Context, []event.Delivered) error  { return nil }
func (m *plainMember) Release(context.Context, []event.Delivered) error { return nil }
func (m *plainMember) Lag(context.Context) (event.Lag, error)           { return event.Lag{}, nil }
func (m *plainMember) Close(context.Context) error                      { return nil }

func onPlain(t *testing.T) (*plain, event.Stream) {
	p := &plain{more: make(chan struct{})}
	return p, open(t, event.WithDriver("plain", func(context.Context, event.Settings) (event.Driver, error) { return p, nil }))
}

func TestWhatAGroupDidNotAskForIsAcknowledgedAndTheRestHandled(t *testing.T) {
	leak.Check(t)
	p, s := onPlain(t)
	var mu sync.Mutex
	var handled []string
	sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, r.Type+r.ID)
		return nil
	}, event.Group("g"), event.Types("yes"))
	if err != nil {
		t.Fatal(err)
	}
	var rs []*event.Record
	var want, all []string
	for i, typ := range []string{"no", "yes", "no", "no", "yes", "yes", "no", "yes"} {
		id := fmt.Sprint(i)
		rs, all = append(rs, &event.Record{ID: id, Type: typ}), append(all, id)
		if typ == "yes" {
			want = append(want, typ+id)
		}
	}
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	until(t, "all are acknowledged", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.acked) == len(rs) })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(handled, want) {
		t.Errorf("handled %v, want %v", handled, want)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := slices.Sorted(slices.Values(p.acked)); !slices.Equal(got, all) {
		t.Errorf("acknowledged %v, want each once", got)
	}
	if st := sub.Stats(); st.Fetched != int64(len(want)) {
		t.Errorf("stats %+v, want %d fetched", st, len(want))
	}
}

func TestMembersWithoutANameHaveOneEach(t *testing.T) {
	leak.Check(t)
	p, s := onPlain(t)
	for _, opts := range [][]event.SubscribeOption{{}, {}, {event.Consumer("mine")}} {
		if _, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, append(opts, event.Group("g"))...); err != nil {
			t.Fatal(err)
		}
	}
	a, b, c := p.joined[0].Consumer, p.joined[1].Consumer, p.joined[2].Consumer
	if a == "" || b == "" || a == b || c != "mine" {
		t.Errorf("members joined as %q, %q and %q, want two names of their own and mine", a, b, c)
	}
}

// half stores the first of several records, and is unavailable for the others.
type half struct{ *plain }

func (half) Append(context.Context, []*event.Record) (int, error) {
	return 1, fault.Markf(fault.Unavailable, "out of reach")
}

func TestPublishErrorSaysWhyInThePackagesWords(t *testing.T) {
	d := half{&plain{more: make(chan struct{})}}
	s := open(t, event.WithDriver("half", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
	err := s.Publish(t.Context(), &event.Record{Type: "a"}, &event.Record{Type: "b"})
	var some *event.PublishError
	if !errors.As(err, &some) || some.Published != 1 {
		t.Fatalf("got %v, want a PublishError after one record", err)
	}
	for _, err := range []error{err, some.Err} {
		if !errors.Is(err, event.ErrUnavailable) || errors.Is(err, event.ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	}
}

// A record that is refused keeps those before it from the driver.
func TestPublishRefusesAllForOneThatIsWrong(t *testing.T) {
	p, s := onPlain(t)
	good := &event.Record{ID: "1", Type: "t"}
	refused(t, s.Publish(t.Context(), good, nil), event.ErrInvalid, "record 1 is nil")
	if len(p.records) != 0 {
		t.Errorf("the driver has %v", p.records)
	}
	if err := s.Publish(t.Context(), good); err != nil || len(p.records) != 1 {
		t.Errorf("without it: %v, the driver has %v", err, p.records)
	}
}

// unread can't be read, and knows how much it has only if fail is nil.
type unread struct {
	*plain
	fail error
}

func (d *unread) Read(_ context.Context, q event.ReadRequest) (event.Page, error) {
	if q.Max == 0 { // where a subscription begins
		return event.Page{Next: "1"}, nil
	}
	return event.Page{}, fault.Markf(fault.Unavailable, "out of reach")
}

func (d *unread) Behind(context.Context, string) (int64, error) { return 3, d.fail }

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	d := &unread{plain: &plain{more: make(chan struct{})}}
	s := open(t, event.WithDriver("unread", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
	handle := func(context.Context, *event.Record) error { return nil }
	after := event.From(event.AfterID("x"))
	for _, err := range s.Query(t.Context(), after) {
		refused(t, err, event.ErrUnavailable, "out of reach")
	}
	_, err := s.Subscribe(t.Context(), handle, after)
	refused(t, err, event.ErrUnavailable, "out of reach")
	sub, err := s.Subscribe(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	if lag, err := sub.Lag(t.Context()); err != nil || lag.Behind != 3 {
		t.Errorf("Lag: %+v, %v, want 3 behind", lag, err)
	}
	d.fail = fault.Markf(fault.Unavailable, "out of reach")
	_, err = sub.Lag(t.Context())
	refused(t, err, event.ErrUnavailable, "out of reach")
}

// Who closes again is told how it went, also when his context has ended.
func TestCloseAgainSaysHowItWent(t *testing.T) {
	_, s := onPlain(t)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for range 50 {
		if err := s.Close(ended); err != nil {
			t.Fatalf("got %v", err)
		}
	}
}
