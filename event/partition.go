package event

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Partitions spreads the work of an ordered group over its members: the keys are
// divided into n parts by a hash, and each part is one member's at a time. The
// members share the parts evenly; when one comes or goes the parts are divided
// again, and the order of each key holds over that. Concurrency and Batch are for
// each part.
//
// Each part reads the stream by itself and leaves out the records of others, so n
// parts read it n times: take as many as there will be members at the most, where
// handlers cost more than reading does. All members of a group have the same n;
// with another n Subscribe returns ErrConflict, until DeleteGroup. It needs Ordered
// and Group, and a backend with Features.Partitions.
func Partitions(n int) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if n < 2 || n > 256 {
			return invalidf("%d partitions, want 2 to 256", n)
		}
		o.partitions = n
		return nil
	})
}

// partitioned is a subscription to the parts of a group that are this member's:
// one subscription each.
type partitioned struct {
	f      *front
	o      *subscribeOptions
	h      Handler
	bh     BatchHandler
	roster roster
	stop   context.CancelFunc
	ctx    context.Context
	done   chan struct{}

	mu     sync.Mutex
	parts  map[int]*subscription
	former Stats // of parts that were given up
	err    error // of the roster, or of joining
}

// subscribeParts joins the groups of all parts, which makes them, and begins.
func (f *front) subscribeParts(ctx context.Context, o *subscribeOptions, h Handler, bh BatchHandler) (Subscription, error) {
	roster, ok := f.driver.(roster)
	switch {
	case o.key == nil || o.group == "":
		return nil, invalidf("Partitions needs Ordered and Group")
	case !ok:
		return nil, fault.Markf(ErrUnsupported, "partitions")
	}
	if err := checkName("group", partGroup(o.group, o.partitions-1, o.partitions)); err != nil {
		return nil, err
	}
	o.consumer = cmp.Or(o.consumer, newConsumer())
	if err := f.makeParts(ctx, o, roster); err != nil {
		return nil, err
	}
	s := &partitioned{f: f, o: o, h: h, bh: bh, roster: roster, done: make(chan struct{}), parts: map[int]*subscription{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if !f.life.Go(s.run) {
		s.stop()
		return nil, fault.Closed
	}
	return s, nil
}

// part is the options of one part's subscription.
func (o *subscribeOptions) part(p int) *subscribeOptions {
	c := *o
	c.joinAs = partGroup(o.group, p, o.partitions)
	c.mine = func(r *Record) bool { return partOf(o.key(r), o.partitions) == p }
	return &c
}

// run keeps the parts of this member until the subscription or the stream ends.
func (s *partitioned) run(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	every := min(max(s.o.ackWait/3, 20*time.Millisecond), 2*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.divide(ctx)
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	s.mu.Lock()
	for _, sub := range s.parts {
		sub.stop()
	}
	last := s.parts
	s.mu.Unlock()
	for _, sub := range last {
		<-sub.left
	}
	bounded, end := context.WithTimeout(context.Background(), s.f.o.timeout)
	defer end()
	if _, err := s.attend(bounded, 0); err != nil {
		s.f.o.settings.Logger.Warn("event: leaving the group failed", "group", s.o.group, "error", err)
	}
	go func() { // handlers that were left behind
		for _, sub := range last {
			<-sub.done
		}
		close(s.done)
	}()
}

func (s *partitioned) attend(ctx context.Context, ttl time.Duration) (members []string, err error) {
	err = fault.Guard(func() (err error) {
		members, err = s.roster.Attend(ctx, s.o.roll(), s.o.consumer, ttl)
		return err
	})
	return members, err
}

// divide gives up parts that are others', and takes those that are this member's.
func (s *partitioned) divide(ctx context.Context) {
	bounded, limit, cancel := s.f.limited(ctx)
	defer cancel()
	members, err := s.attend(bounded, s.o.ackWait)
	if err == nil && !slices.Contains(members, s.o.consumer) {
		members = append(members, s.o.consumer)
	}
	if err == nil {
		err = s.take(bounded, shareOf(members, s.o.consumer, s.o.partitions))
	}
	err = limit.Late(bounded, err)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.f.o.settings.Logger.Warn("event: dividing a group failed", "group", s.o.group, "error", err)
	}
	s.err = err
}

// take makes the parts of this member those that are its share. Only run calls it,
// and nobody else changes parts.
func (s *partitioned) take(ctx context.Context, mine []int) error {
	for p, sub := range s.parts {
		if !slices.Contains(mine, p) {
			sub.stop() // the next owner begins when it has left
		}
		select {
		case <-sub.done:
			s.mu.Lock()
			delete(s.parts, p)
			s.former.add(sub.Stats())
			s.mu.Unlock()
		default: // of those that were stopped, handlers may still run
		}
	}
	for _, p := range mine {
		if s.parts[p] != nil {
			continue
		}
		var sub *subscription
		err := fault.Guard(func() (err error) { sub, err = s.f.begin(ctx, s.o.part(p), s.h, s.bh); return err })
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.parts[p] = sub
		s.mu.Unlock()
	}
	return nil
}

// add adds counts of a subscription that has ended.
func (st *Stats) add(o Stats) {
	st.Fetched += o.Fetched
	st.Handled += o.Handled
	st.Failed += o.Failed
	st.Panics += o.Panics
	st.TimedOut += o.TimedOut
	st.Dead += o.Dead
	st.Dropped += o.Dropped
	st.Missed += o.Missed
	st.Redelivered += o.Redelivered
	st.Held += o.Held
	st.Running += o.Running
	st.Retrying += o.Retrying
	if st.Err == nil {
		st.Err = o.Err
	}
}

func (s *partitioned) Group() string { return s.o.group }

func (s *partitioned) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.former
	st.Err = fault.Adopt("event", s.err)
	for _, sub := range s.parts {
		st.add(sub.Stats())
	}
	return st
}

func (s *partitioned) Lag(ctx context.Context) (Lag, error) {
	groups, err := s.f.Groups(ctx)
	if err != nil {
		return Lag{}, err
	}
	for _, g := range groups {
		if g.Name == s.o.group {
			return g.Lag, nil
		}
	}
	return Lag{}, s.f.wrap("lag", s.o.group, fault.NotFound)
}

func (s *partitioned) Close(ctx context.Context) error {
	s.stop()
	return s.f.wrap("close subscription", s.o.group, awaitEnd(ctx, s.done, func() int { return s.Stats().Running }))
}
