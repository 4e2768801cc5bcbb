package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
)

// answerTime is how long an answer may take that a session needs.
const answerTime = 5 * time.Second

var errLate = fault.Markf(fault.Unavailable, "no answer within %v", answerTime)

// session is one that follows a service.
type session struct {
	v      *view
	target Target
	label  string
	joined time.Time

	changed chan struct{} // holds one token: there may be another set
	same    chan struct{} // holds one token: the API server was heard
}

func (s *session) wake(changed bool) {
	c := s.same
	if changed {
		c = s.changed
	}
	select {
	case c <- struct{}{}:
	default:
	}
}

// Watch follows one service by the view of its namespace, which all services in
// it share. What it delivers first is no older than the call: it stands in a
// list that was begun since, that of the view or one of its own.
func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	t, err := d.where(service)
	if err != nil {
		return err
	}
	d.asked(t.Namespace)
	s := &session{target: t, label: labelOf(t.Service), joined: time.Now(), changed: make(chan struct{}, 1), same: make(chan struct{}, 1)}
	d.join(s)
	defer d.leave(s)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for first := true; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.v.ended:
			return s.v.err
		case <-s.same:
			if !first {
				deliver(discovery.Update{Same: true})
			}
			continue
		case <-s.changed:
		case <-timer.C:
			if err := d.confirm(ctx, s); err != nil {
				return err
			}
		}
		if first {
			ready, err := d.ready(ctx, s)
			if err != nil {
				return err
			}
			if !ready {
				continue
			}
		}
		u, next := s.v.update(s)
		deliver(u)
		first = false
		timer.Reset(next)
	}
}

// join takes part in the view of the session's namespace.
func (d *driver) join(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.views[s.target.Namespace]
	if v == nil {
		v = d.newView(s.target.Namespace)
		d.views[s.target.Namespace] = v
	}
	s.v = v
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sessions[s] = true
	s.wake(true)
}

// leave ends the view with the last session.
func (d *driver) leave(s *session) {
	v := s.v
	d.mu.Lock()
	v.mu.Lock()
	delete(v.sessions, s)
	last := len(v.sessions) == 0
	if last && d.views[v.namespace] == v {
		delete(d.views, v.namespace)
	}
	v.mu.Unlock()
	d.mu.Unlock()
	if last {
		v.cancel()
		<-v.ended
	}
}

// ready reports whether the view has all that a first delivery needs.
func (d *driver) ready(ctx context.Context, s *session) (bool, error) {
	s.v.mu.Lock()
	all, fresh := s.v.synced == d.watches(), !s.v.since.Before(s.joined)
	s.v.mu.Unlock()
	if !all {
		return false, nil
	}
	if fresh {
		return true, nil
	}
	return true, d.list(ctx, s)
}

// list reads the session's service by itself, as it is now.
func (d *driver) list(ctx context.Context, s *session) error {
	bounded, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	all, version, err := conn.List[endpointSlice](bounded, d.c, endpointSlices.In(s.target.Namespace), conn.Selector{Labels: serviceLabel + "=" + s.label})
	switch {
	case err == nil:
		s.v.listed(s.label, all, number(version))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() != nil:
		return errLate
	}
	return err
}

// confirm asks the API server about owners whose heartbeats are missing: that
// they are not seen may be its fault. What is then still as it was has expired.
func (d *driver) confirm(ctx context.Context, s *session) error {
	s.v.mu.Lock()
	due := map[string]string{}
	dead := map[string]*held{}
	for name, h := range s.v.services[s.label] {
		switch {
		case h.entry == nil || h.entry.TTL <= 0 || time.Since(h.seen) < h.entry.TTL:
		case !h.expired:
			due[name] = h.beat
		case time.Since(h.seen) > h.reapAfter():
			dead[name] = h
		}
	}
	s.v.mu.Unlock()
	if len(due) > 0 {
		if err := d.list(ctx, s); err != nil {
			if errors.Is(err, fault.Unavailable) {
				s.v.doubt()
			}
			return err
		}
		s.v.expire(s.label, due)
	}
	if d.register {
		d.reap(ctx, s, dead)
	}
	return nil
}

// expire marks those whose heartbeats are what they were.
func (v *view) expire(label string, due map[string]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, beat := range due {
		h := v.services[label][name]
		if h != nil && h.beat == beat && time.Since(h.seen) >= h.entry.TTL {
			h.expired = true
		}
	}
}

// reapAfter is how long after the last heartbeat a slice is removed.
func (h *held) reapAfter() time.Duration { return 3*h.entry.TTL + time.Second }

// reap removes slices whose owners have not been alive for long, so that they end
// for readers of other kinds too. It fails if anybody has changed them since.
func (d *driver) reap(ctx context.Context, s *session, dead map[string]*held) {
	for name, h := range dead {
		bounded, cancel := context.WithTimeout(ctx, answerTime)
		_ = d.c.Delete(bounded, endpointSlices.In(s.target.Namespace), name, conn.Preconditions{UID: h.UID, ResourceVersion: h.ResourceVersion})
		cancel()
	}
}

// update is the set of a session, and in how long to look again.
func (v *view) update(s *session) (u discovery.Update, next time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	found := map[string]discovery.Instance{}
	ttls, expired := map[string]time.Duration{}, map[string]bool{}
	next = time.Hour
	all := slices.SortedFunc(maps.Values(v.services[s.label]), older)
	for _, h := range all {
		if h.entry != nil {
			v.own(h, s, found, ttls, expired, &next)
			continue
		}
		for _, in := range h.instances(s.target.Port) {
			v.label(&in, s)
			found[in.ID] = in
		}
	}
	lost := maps.Clone(v.lost[s.label]) // Fate is asked without the lock
	u.Instances = slices.Collect(maps.Values(found))
	u.TTL = func(id string) time.Duration { return ttls[id] }
	u.Fate = func(id string) discovery.Fate {
		switch {
		case expired[id]:
			return discovery.Expired
		case lost[id]:
			return discovery.Lost
		}
		return discovery.Deregistered
	}
	return u, next
}

// older orders slices so that of two that have an endpoint the last is right: of
// a service with two families of addresses that is IPv4, else the newer slice.
func older(a, b *held) int {
	rank := func(h *held) int {
		if h.AddressType == "IPv4" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.version, b.version))
}

// own adds what this package has registered.
func (v *view) own(h *held, s *session, found map[string]discovery.Instance, ttls map[string]time.Duration, expired map[string]bool, next *time.Duration) {
	if base(h.entry.Service) != s.target.Service {
		return // of another whose name has the same hash
	}
	id, ttl := h.entry.ID, h.entry.TTL
	if !h.expired {
		found[id], ttls[id] = h.entry.Instance.Clone(), ttl
		if ttl > 0 {
			*next = min(*next, max(time.Until(h.seen.Add(ttl)), 0)+time.Millisecond)
		}
		return
	}
	expired[id] = true
	if v.d.register { // to remove it; not all who see it at once
		*next = min(*next, max(time.Until(h.seen.Add(h.reapAfter())), ttl)+rand.N(ttl))
	}
}

// label adds the labels that were asked for.
func (v *view) label(in *discovery.Instance, s *session) {
	if v.labels == nil && v.pods == nil {
		return
	}
	labels := map[string]string{}
	maps.Copy(labels, v.labels[s.target.Service])
	maps.Copy(labels, v.pods[in.ID])
	in.Version = labels[versionLabel]
	in.Labels = labels
}

// alive asks for one slice of a namespace, which is read from the store behind
// the API server: a server that is cut off from it does not answer.
func (d *driver) alive(ctx context.Context, namespace string) error {
	err := d.c.Probe(ctx, endpointSlices.In(namespace))
	if err != nil {
		return fmt.Errorf("endpointslices of namespace %s: %w", namespace, err)
	}
	return nil
}
