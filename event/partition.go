package event

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
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

// partGroup names the group of one part.
func partGroup(group string, part, of int) string {
	return fmt.Sprintf("%s [%d/%d]", group, part+1, of)
}

// wholeGroup reads what partGroup wrote; of is 0 if it is another name.
func wholeGroup(name string) (group string, of int) {
	i := strings.LastIndex(name, " [")
	if i < 1 || !strings.HasSuffix(name, "]") {
		return name, 0
	}
	a, b, _ := strings.Cut(name[i+2:len(name)-1], "/")
	part, err := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if err != nil || err2 != nil || part < 1 || part > n || name != partGroup(name[:i], part-1, n) {
		return name, 0
	}
	return name[:i], n
}

// foldGroups makes one of the groups of the parts: what is pending of all, and how far
// the slowest is behind, since each reads everything.
func foldGroups(list []GroupInfo) []GroupInfo {
	whole := map[string]int{}
	out := list[:0:0]
	for _, g := range list {
		name, of := wholeGroup(g.Name)
		if of == 0 {
			out = append(out, g)
			continue
		}
		i, ok := whole[name]
		if !ok {
			whole[name] = len(out)
			out = append(out, GroupInfo{Name: name, Types: g.Types, Lag: g.Lag, Partitions: of})
			continue
		}
		out[i].Lag.Pending += g.Lag.Pending
		if out[i].Lag.Behind >= 0 && (g.Lag.Behind < 0 || g.Lag.Behind > out[i].Lag.Behind) {
			out[i].Lag.Behind = g.Lag.Behind
		}
	}
	slices.SortFunc(out, func(a, b GroupInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// partOf is the part that a key belongs to, in every process.
func partOf(key string, of int) int {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int(h.Sum64() % uint64(of))
}

// shareOf returns the parts of one of the members. All members that know of the
// same ones come to the same result: none has two parts more than another, and few
// parts move when one comes or goes (rendezvous hashing).
func shareOf(members []string, me string, parts int) []int {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	base, extra := parts/len(members), parts%len(members)
	load := map[string]int{}
	var mine []int
	for p := range parts {
		var best string
		var top uint64
		for _, m := range members {
			if load[m] > base || load[m] == base && extra == 0 {
				continue
			}
			h := fnv.New64a()
			fmt.Fprintf(h, "%d %s", p, m)
			if w := mix(h.Sum64()); best == "" || w > top {
				best, top = m, w
			}
		}
		if load[best] == base {
			extra--
		}
		if load[best]++; best == me {
			mine = append(mine, p)
		}
	}
	return mine
}

// mix spreads the bits of a hash whose last bytes differ little (SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
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
	if err := f.checkParts(ctx, o); err != nil {
		return nil, err
	}
	if o.consumer == "" {
		o.consumer = newConsumer()
	}
	for p := range o.partitions {
		m, err := f.open(ctx, o.part(p))
		if err != nil {
			return nil, err
		}
		if err := m.Close(ctx); err != nil {
			return nil, err
		}
	}
	s := &partitioned{f: f, o: o, h: h, bh: bh, roster: roster, done: make(chan struct{}), parts: map[int]*subscription{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if !f.life.Go(s.run) {
		s.stop()
		return nil, fault.Closed
	}
	return s, nil
}

// checkParts refuses a group that is divided in another way.
func (f *front) checkParts(ctx context.Context, o *subscribeOptions) error {
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		switch name, of := wholeGroup(g.Name); {
		case name != o.group || of == o.partitions:
		case of == 0:
			return fault.Markf(ErrConflict, "group %q is not divided: delete it first, or use another name", name)
		default:
			return fault.Markf(ErrConflict, "group %q has %d partitions, not %d: delete it first, or use another name", name, of, o.partitions)
		}
	}
	return nil
}

// checkWhole refuses a group that is divided to who does not divide it: it would be
// another group of the same name, which is handed everything once more.
func (f *front) checkWhole(ctx context.Context, o *subscribeOptions) error {
	if _, divides := f.driver.(roster); !divides || o.group == "" {
		return nil
	}
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if name, of := wholeGroup(g.Name); name == o.group && of > 0 {
			return fault.Markf(ErrConflict, "group %q has %d partitions: subscribe with Partitions, delete it first, or use another name", name, of)
		}
	}
	return nil
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
	if _, err := s.roster.Attend(bounded, s.o.group, s.o.consumer, 0); err != nil {
		s.f.o.settings.Logger.Warn("event: leaving the group failed", "group", s.o.group, "error", err)
	}
	go func() { // handlers that were left behind
		for _, sub := range last {
			<-sub.done
		}
		close(s.done)
	}()
}

// divide gives up parts that are others', and takes those that are this member's.
func (s *partitioned) divide(ctx context.Context) {
	bounded, cancel := s.f.deadline(ctx)
	defer cancel()
	members, err := s.roster.Attend(bounded, s.o.group, s.o.consumer, s.o.ackWait)
	if err == nil && !slices.Contains(members, s.o.consumer) {
		members = append(members, s.o.consumer)
	}
	if err == nil {
		err = s.take(bounded, shareOf(members, s.o.consumer, s.o.partitions))
	}
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
		sub, err := s.f.begin(ctx, s.o.part(p), s.h, s.bh)
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
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-s.done:
		return nil
	default:
		return s.f.wrap("close subscription", s.o.group, fault.Mark(ErrTimeout, fmt.Errorf("%d handlers still running: %w", s.Stats().Running, ctx.Err())))
	}
}

// deleteParts removes the groups of the parts, and reports whether there were any.
func (f *front) deleteParts(ctx context.Context, name string) (bool, error) {
	groups, err := f.driver.Groups(ctx)
	if err != nil {
		return false, err
	}
	found := false
	for _, g := range groups {
		if whole, of := wholeGroup(g.Name); whole == name && of > 0 {
			if err := f.driver.DeleteGroup(ctx, g.Name); err != nil && !errors.Is(err, fault.NotFound) {
				return true, err
			}
			found = true
		}
	}
	return found, nil
}
