package nats

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/nats"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	claimLasts = 5 * time.Second
	lookAgain  = 100 * time.Millisecond // meanwhile
)

func (d *driver) Due(ctx context.Context, limit int) (out eventdriver.DueNow, err error) {
	s, err := d.schedules(ctx, false)
	if s == nil || err != nil {
		return out, err
	}
	a := &d.plan.agenda
	err = a.one.Lock(ctx)
	if err != nil {
		return out, err
	}
	defer a.one.Unlock()
	out.Now, err = a.refresh(ctx, d, s)
	if err != nil {
		return out, err
	}
	soonest := func(t time.Time) {
		if out.Next.IsZero() || !t.IsZero() && t.Before(out.Next) {
			out.Next = t
		}
	}
	due := map[string]*entry{}
	defer a.back()
	for len(out.Entries) < limit {
		it, next, ok := a.take(out.Now)
		if !ok {
			soonest(next)
			break
		}
		e, err := d.last(ctx, s, it.key)
		if err != nil {
			return out, err
		}
		switch {
		case e == nil || e.Due.UnixMilli() != it.due: // it is over
			a.drop()
		case e.gone:
			if err := d.purge(ctx, s, e.key, e.seq); err != nil {
				return out, err
			}
		case e.claim != nil:
			settled, err := d.settle(ctx, s, e, out.Now, d.plan.claimLasts)
			if err != nil {
				return out, err
			}
			if settled {
				soonest(out.Now) // what it is now is read the next time
			} else {
				soonest(out.Now.Add(lookAgain))
			}
		default:
			due[e.ID] = e
			out.Entries = append(out.Entries, e.Scheduled)
		}
	}
	d.mu.Lock()
	d.plan.due = due
	d.mu.Unlock()
	return out, nil
}

// shot is an entry that Fire is about to publish.
type shot struct {
	e *entry
	m *gonats.Msg
}

func (d *driver) Fire(ctx context.Context, firings []eventdriver.Firing) (int, error) {
	s, err := d.schedules(ctx, false)
	if s == nil || err != nil {
		return 0, err
	}
	records, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	messages := make([]*gonats.Msg, len(firings))
	for i, f := range firings { // all before the first is sent
		if f.Record == nil {
			continue
		}
		messages[i], err = d.message(records, f.Record)
		if err != nil {
			return 0, err
		}
	}
	fence, err := d.fence(ctx)
	if err != nil {
		return 0, err
	}
	info, err := records.Info(ctx)
	if err != nil {
		return 0, nats.ReadError(d.lost(err))
	}
	fired := 0
	var shots []shot
	var claims []*gonats.Msg
	for i, f := range firings {
		e, err := d.asOf(ctx, s, f)
		if err != nil {
			return fired, err
		}
		if e == nil { // another was faster
			continue
		}
		before := e.seq
		if f.Record == nil {
			e.Due = f.Next
			ok, err := d.put(ctx, s, e, before)
			if err != nil {
				return fired, err
			}
			if ok {
				fired++
			}
			continue
		}
		e.claim = &claim{word: event.NewID(), fence: fence, after: info.State.LastSeq, next: f.Next}
		messages[i].Header.Set(jetstream.MsgIDHeader, e.claim.word)
		m := d.planned(e)
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, format(before))
		shots, claims = append(shots, shot{e, messages[i]}), append(claims, m)
	}
	var failed error
	mine := shots[:0]
	for i, r := range d.send(ctx, claims) {
		switch {
		case r.refused:
		case r.err != nil:
			failed = nats.WriteError(d.planLost(r.err))
		default:
			shots[i].e.seq = r.seq
			mine = append(mine, shots[i])
		}
	}
	n, err := d.publish(ctx, s, mine, fence)
	if failed == nil {
		failed = err
	}
	return fired + n, failed
}

// asOf returns the entry that a firing is of, or nil if it is another one now.
func (d *driver) asOf(ctx context.Context, s jetstream.Stream, f eventdriver.Firing) (*entry, error) {
	d.mu.Lock()
	e := d.plan.due[f.ID]
	delete(d.plan.due, f.ID)
	d.mu.Unlock()
	if e == nil || e.Version != f.Version {
		var err error
		e, err = d.last(ctx, s, keyOf(f.ID))
		if err != nil {
			return nil, err
		}
	}
	if e == nil || e.gone || e.claim != nil || e.Version != f.Version || !e.Due.Equal(f.Due) {
		return nil, nil
	}
	return e, nil
}

// publish publishes records of entries that are claimed, and removes these. What fails
// here is settled by who finds the claim.
func (d *driver) publish(ctx context.Context, s jetstream.Stream, shots []shot, fence uint64) (int, error) {
	messages := make([]*gonats.Msg, len(shots))
	for i, one := range shots {
		messages[i] = one.m
	}
	condition := jetstream.WithExpectLastSequenceForSubject(fence, d.fenceSubject())
	results := d.send(ctx, messages, condition)
	fired := 0
	var failed error
	for i, r := range results {
		for r.refused { // a stream with replicas takes one at a time
			now, err := d.fence(ctx)
			if err != nil || now != fence {
				break
			}
			r = d.send(ctx, messages[i:i+1], condition)[0]
		}
		err := r.err
		if err == nil {
			fired++
			err = d.finish(ctx, s, shots[i].e)
		}
		if err != nil && !r.refused && failed == nil {
			failed = nats.WriteError(d.lost(err))
		}
	}
	return fired, failed
}

var _ eventdriver.Scheduler = (*driver)(nil)
