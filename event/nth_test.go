package event

import (
	"context"
	"errors"
	"fmt"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
)

// nthDriver is a memory stream behind a plan.
type nthDriver struct {
	*memory
	p nth.Plan
}

func (d nthDriver) Close(ctx context.Context) error {
	return d.p.Close(func() error { return nil })
}
func (d nthDriver) Ping(ctx context.Context) error {
	return nth.Check(ctx, d.p, "Ping", d.memory.Ping)
}

func (d nthDriver) Append(ctx context.Context, rs []*Record) (int, error) {
	return nth.Change(ctx, d.p, "Append", func() (int, error) { return d.memory.Append(ctx, rs) })
}

func (d nthDriver) Read(ctx context.Context, q ReadRequest) (Page, error) {
	return nth.Read(ctx, d.p, "Read", func() (Page, error) { return d.memory.Read(ctx, q) })
}

func (d nthDriver) Wait(ctx context.Context, after string) error {
	return nth.Check(ctx, d.p, "Wait", func(ctx context.Context) error { return d.memory.Wait(ctx, after) })
}

func (d nthDriver) Join(ctx context.Context, g GroupConfig) (Member, error) {
	m, err := nth.Read(ctx, d.p, "Join", func() (Member, error) { return d.memory.Join(ctx, g) })
	if err != nil {
		return nil, err
	}
	return nthMember{m, d.p}, nil
}

func (d nthDriver) Groups(ctx context.Context) ([]GroupInfo, error) {
	return nth.Read(ctx, d.p, "Groups", func() ([]GroupInfo, error) { return d.memory.Groups(ctx) })
}

func (d nthDriver) DeleteGroup(ctx context.Context, name string) error {
	return nth.Write(ctx, d.p, "DeleteGroup", func() error { return d.memory.DeleteGroup(ctx, name) })
}

func (d nthDriver) Schedule(ctx context.Context, list []Scheduled) error {
	return nth.Write(ctx, d.p, "Schedule", func() error { return d.memory.Schedule(ctx, list) })
}

func (d nthDriver) Unschedule(ctx context.Context, id string) error {
	return nth.Write(ctx, d.p, "Unschedule", func() error { return d.memory.Unschedule(ctx, id) })
}

func (d nthDriver) Scheduled(ctx context.Context, from string, limit int) ([]Scheduled, string, error) {
	var next string
	list, err := nth.Read(ctx, d.p, "Scheduled", func() (list []Scheduled, err error) {
		list, next, err = d.memory.Scheduled(ctx, from, limit)
		return list, err
	})
	return list, next, err
}

func (d nthDriver) Due(ctx context.Context, limit int) (dueNow, error) {
	return nth.Read(ctx, d.p, "Due", func() (dueNow, error) { return d.memory.Due(ctx, limit) })
}

func (d nthDriver) Fire(ctx context.Context, list []firing) (int, error) {
	return nth.Change(ctx, d.p, "Fire", func() (int, error) { return d.memory.Fire(ctx, list) })
}

func (d nthDriver) Trim(ctx context.Context, keep Retention) (int64, error) {
	return nth.Change(ctx, d.p, "Trim", func() (int64, error) { return d.memory.Trim(ctx, keep) })
}

func (d nthDriver) Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error) {
	return nth.Change(ctx, d.p, "Attend", func() ([]string, error) { return d.memory.Attend(ctx, group, consumer, ttl) })
}

type nthMember struct {
	Member
	p nth.Plan
}

func (m nthMember) Fetch(ctx context.Context, max int) ([]Delivered, error) {
	return nth.Read(ctx, m.p, "Fetch", func() ([]Delivered, error) { return m.Member.Fetch(ctx, max) })
}

func (m nthMember) Ack(ctx context.Context, ds []Delivered) error {
	return nth.Write(ctx, m.p, "Ack", func() error { return m.Member.Ack(ctx, ds) })
}

func (m nthMember) Extend(ctx context.Context, ds []Delivered) error {
	return nth.Write(ctx, m.p, "Extend", func() error { return m.Member.Extend(ctx, ds) })
}

func (m nthMember) Release(ctx context.Context, ds []Delivered) error {
	return nth.Write(ctx, m.p, "Release", func() error { return m.Member.Release(ctx, ds) })
}

func (m nthMember) Lag(ctx context.Context) (Lag, error) {
	return nth.Read(ctx, m.p, "Lag", func() (Lag, error) { return m.Member.Lag(ctx) })
}

// Close leaves the group, also if it fails.
func (m nthMember) Close(ctx context.Context) error {
	left := false
	err := nth.Write(ctx, m.p, "Leave", func() error { left = true; return m.Member.Close(ctx) })
	if !left {
		m.Member.Close(context.WithoutCancel(ctx))
	}
	return err
}

// Whatever call of the driver fails, and however: who called hears of it; what goes
// on behind is tried again, and every record is handled and acknowledged, in order.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: ErrUnavailable, Unknown: ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		p.Within("Fetch", 30*time.Second)
		p.Within("Wait", 30*time.Second)
		p.Within("Ack", 30*time.Second)
		var (
			m       = newMemory(Retention{})
			s       Stream
			sub     Subscription
			mu      gosync.Mutex
			handled = map[string]bool{}
			failed  bool
		)
		eventually := func(what string, ok func() bool) error {
			for range 600 {
				if ok() {
					return nil
				}
				time.Sleep(time.Second)
			}
			return errors.New("not within ten minutes: " + what)
		}
		has := func(subject string) bool {
			mu.Lock()
			defer mu.Unlock()
			return handled[subject]
		}
		return nth.World{
			End:        func() { m.Close(context.Background()) },
			Background: []string{"Fetch", "Ack", "Extend", "Release", "Leave", "Due", "Fire", "Wait"},
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					s, err = New(WithDriver("nth", func(context.Context, Settings) (Driver, error) { p.Open(); return nthDriver{m, p}, nil }))
					return err
				}},
				{Name: "subscribe", Do: func(ctx context.Context) (err error) {
					sub, err = s.Subscribe(ctx, func(_ context.Context, r *Record) error {
						mu.Lock()
						defer mu.Unlock()
						if r.Subject == "two" && !failed {
							failed = true
							return errors.New("the first attempt")
						}
						handled[r.Subject] = true
						return nil
					}, Group("g"), AckWait(30*time.Second))
					return err
				}},
				{Name: "publish", Partly: true, Do: func(ctx context.Context) error {
					return s.Publish(ctx, &Record{Type: "t", ID: "1", Subject: "one"})
				}},
				{Name: "publish several", Partly: true, Do: func(ctx context.Context) error {
					return s.Publish(ctx, &Record{Type: "t", ID: "2", Subject: "two"}, &Record{Type: "t", ID: "3", Subject: "three"})
				}},
				{Name: "schedule", Do: func(ctx context.Context) error {
					return s.PublishAt(ctx, time.Now().Add(time.Minute), &Record{Type: "t", ID: "4", Subject: "four"})
				}},
				{Name: "schedule and cancel", Again: []error{ErrNotFound}, Do: func(ctx context.Context) error {
					err := s.PublishAt(ctx, time.Now().Add(10*time.Hour), &Record{Type: "t", ID: "5", Subject: "five"})
					if err != nil {
						return err
					}
					return s.Cancel(ctx, "5")
				}},
				{Name: "scheduled", Do: func(ctx context.Context) error {
					for _, err := range s.Scheduled(ctx) {
						if err != nil {
							return err
						}
					}
					return nil
				}},
				{Name: "handle", Do: func(context.Context) error {
					return eventually("four are handled and acknowledged", func() bool {
						groups, err := m.Groups(t.Context()) // an Ack that comes at the end is made once
						return err == nil && len(groups) == 1 && groups[0].Lag == Lag{} &&
							has("one") && has("two") && has("three") && has("four") && sub.Stats().Held == 0
					})
				}},
				{Name: "query", Do: func(ctx context.Context) error {
					for _, err := range s.Query(ctx) {
						if err != nil {
							return err
						}
					}
					return nil
				}},
				{Name: "lag", Do: func(ctx context.Context) error {
					lag, err := sub.Lag(ctx)
					if err == nil && lag.Behind != 0 {
						err = fmt.Errorf("%+v", lag)
					}
					return err
				}},
				{Name: "groups", Do: func(ctx context.Context) error {
					_, err := s.Groups(ctx)
					return err
				}},
				{Name: "leave", Do: func(ctx context.Context) error { return sub.Close(context.WithoutCancel(ctx)) }},
				{Name: "all is acknowledged", Do: func(ctx context.Context) error {
					groups, err := m.Groups(ctx)
					if err == nil && (len(groups) != 1 || groups[0].Lag != Lag{}) {
						err = fmt.Errorf("%+v", groups)
					}
					return err
				}},
				{Name: "delete the group", Again: []error{ErrNotFound}, Do: func(ctx context.Context) error { return s.DeleteGroup(ctx, "g") }},
				{Name: "close", Once: true, Do: func(ctx context.Context) error { return s.Close(context.WithoutCancel(ctx)) }},
			},
			State: func() string {
				page, err := m.Read(context.WithoutCancel(t.Context()), ReadRequest{From: Beginning(), Max: 100})
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				var ids []string
				for _, r := range page.Records {
					if !seen[r.ID] { // again, when an answer was lost
						ids = append(ids, r.ID)
					}
					seen[r.ID] = true
				}
				return strings.Join(ids, " ")
			},
		}
	})
}

// Whatever call of the driver fails, and however: the parts of a divided group are
// handled and acknowledged, each key in order, and history is trimmed in the end.
func TestEveryCallOfADividedGroupMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: ErrUnavailable, Unknown: ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		for _, method := range []string{"Fetch", "Ack", "Attend", "Join"} {
			p.Within(method, 30*time.Second)
		}
		var (
			m       = newMemory(Retention{})
			s       Stream
			sub     Subscription
			mu      gosync.Mutex
			handled = map[string]string{} // by key
			ctx     = context.WithoutCancel(t.Context())
		)
		eventually := func(what string, ok func() bool) error {
			for range 600 {
				if ok() {
					return nil
				}
				time.Sleep(time.Second)
			}
			return errors.New("not within ten minutes: " + what)
		}
		return nth.World{
			End:        func() { m.Close(ctx) },
			Background: []string{"Fetch", "Ack", "Extend", "Release", "Leave", "Due", "Fire", "Wait", "Trim", "Attend", "Join"},
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					s, err = New(WithRetention(Retention{Count: 5}), WithDriver("nth", func(context.Context, Settings) (Driver, error) { p.Open(); return nthDriver{m, p}, nil }))
					return err
				}},
				{Name: "subscribe", Pause: 2 * time.Minute, Do: func(ctx context.Context) (err error) {
					sub, err = s.Subscribe(ctx, func(_ context.Context, r *Record) error {
						mu.Lock()
						defer mu.Unlock()
						if !strings.HasSuffix(handled[r.Subject], r.ID) { // else once more, when an answer was lost
							handled[r.Subject] += r.ID
						}
						return nil
					}, Group("g"), AckWait(30*time.Second), Ordered(func(r *Record) string { return r.Subject }), Partitions(2))
					return err
				}},
				{Name: "publish", Partly: true, Do: func(ctx context.Context) error {
					var list []*Record
					for _, id := range []string{"1", "2", "3"} {
						for _, subject := range []string{"a", "b", "c", "d"} {
							list = append(list, &Record{Type: "t", ID: subject + id, Subject: subject})
						}
					}
					return s.Publish(ctx, list...)
				}},
				{Name: "handle", Do: func(context.Context) error {
					return eventually("all are handled and acknowledged", func() bool {
						mu.Lock()
						defer mu.Unlock()
						for _, subject := range []string{"a", "b", "c", "d"} {
							if !strings.HasSuffix(handled[subject], subject+"1"+subject+"2"+subject+"3") {
								return false
							}
						}
						return sub.Stats().Held == 0
					})
				}},
				{Name: "trim", Do: func(context.Context) error {
					return eventually("five are left", func() bool {
						page, err := m.Read(ctx, ReadRequest{From: Beginning(), Max: 100})
						return err == nil && len(page.Records) == 5
					})
				}},
				{Name: "leave", Do: func(context.Context) error { return sub.Close(ctx) }},
				{Name: "all is acknowledged", Do: func(context.Context) error {
					return eventually("no part has anything left", func() bool {
						groups, err := m.Groups(ctx)
						left := len(groups) == 2
						for _, g := range groups {
							left = left && g.Lag == Lag{}
						}
						return err == nil && left
					})
				}},
				{Name: "delete the group", Partly: true, Again: []error{ErrNotFound}, Do: func(ctx context.Context) error { return s.DeleteGroup(ctx, "g") }},
				{Name: "close", Once: true, Do: func(context.Context) error { return s.Close(ctx) }},
			},
		}
	})
}
