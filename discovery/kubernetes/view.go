package kubernetes

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	conn "github.com/micro/go-platform/internal/conn/kubernetes"
)

// view is what a driver knows of one Kubernetes namespace while something in it
// is followed: the slices by service, as one watch tells them, and when heartbeats
// of instances outside were seen, by this process's clock.
type view struct {
	d         *driver
	namespace string
	cancel    context.CancelFunc
	ended     chan struct{}
	err       error // why; valid once ended is closed

	past past // of this namespace, when the view began

	mu       sync.Mutex
	sessions map[*session]bool
	heard    time.Time // from the API server
	synced   int       // of the watches, how many have told all
	since    time.Time // when the list of the slices was begun
	version  uint64    // of the slices
	byName   map[string]*held
	services map[string]map[string]*held // by label, by the slice's name
	floors   map[string]uint64           // by label: older events are known from a list
	lost     map[string]map[string]bool  // by label: ids that the registry lost, and that did not come back
	pods     map[string]map[string]string
	labels   map[string]map[string]string // of Services
}

// past is what stays when a view ends, for the next one.
type past struct {
	version uint64
	slices  map[string]*held // after an outage all, else those that have heartbeats
	lost    map[string]map[string]bool
	outage  bool
	at      time.Time
}

// lingers is how long what was seen counts while nobody follows.
const lingers = 10 * time.Second

// newView is called with d.mu held.
func (d *driver) newView(namespace string) *view {
	ctx, cancel := context.WithCancel(context.Background())
	v := &view{
		d: d, namespace: namespace, cancel: cancel, ended: make(chan struct{}), past: d.past[namespace], sessions: map[*session]bool{}, heard: time.Now(),
		lost:   map[string]map[string]bool{},
		byName: map[string]*held{}, services: map[string]map[string]*held{}, floors: map[string]uint64{},
	}
	go v.run(ctx)
	return v
}

// watches is how many there are in a view.
func (d *driver) watches() int {
	n := 1
	if d.podLabels {
		n++
	}
	if d.serviceLabels {
		n++
	}
	return n
}

// gather is how long a view waits for more sessions before it lists: they come in
// crowds, and who comes later reads its service by itself.
const gather = 3 * time.Millisecond

// run follows until the first of the watches fails, or the API server gives no
// sign of life.
func (v *view) run(ctx context.Context) {
	d := v.d
	ended := make(chan error, 4)
	n := d.watches()
	_ = backoff.Sleep(ctx, gather)
	go func() { ended <- conn.Follow(ctx, d.c, endpointSlices.In(v.namespace), conn.Selector{}, v.apply) }()
	if d.podLabels {
		go func() { ended <- conn.Follow(ctx, d.c, pods.In(v.namespace), conn.Selector{}, v.applyTo(&v.pods)) }()
	}
	if d.serviceLabels {
		go func() {
			ended <- conn.Follow(ctx, d.c, services.In(v.namespace), conn.Selector{}, v.applyTo(&v.labels))
		}()
	}
	go func() { ended <- v.ask(ctx) }()
	err := <-ended
	own := ctx.Err() == nil
	v.cancel()
	for range n {
		<-ended
	}
	d.mu.Lock()
	if d.views[v.namespace] == v {
		delete(d.views, v.namespace)
	}
	p := v.remains(own)
	if len(p.slices) > 0 || len(p.lost) > 0 {
		d.past[v.namespace] = p
	} else { // strangers may make up names
		delete(d.past, v.namespace)
	}
	d.mu.Unlock()
	v.err = err
	close(v.ended)
}

// remains is what the next view begins with.
func (v *view) remains(outage bool) past {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since.IsZero() { // it has never been synced
		p := v.past
		p.outage = p.outage || outage
		return p
	}
	// Copies: a session whose answer is still on its way writes to those of this view.
	p := past{version: v.version, slices: maps.Clone(v.byName), lost: map[string]map[string]bool{}, outage: outage, at: time.Now()}
	for label, ids := range v.lost {
		p.lost[label] = maps.Clone(ids)
	}
	if !outage {
		p.slices = map[string]*held{}
		for name, h := range v.byName {
			if h.entry != nil {
				p.slices[name] = h
			}
		}
	}
	return p
}

// ask asks for a sign of life while nothing is heard.
func (v *view) ask(ctx context.Context) error {
	for {
		v.mu.Lock()
		wait := time.Until(v.heard.Add(v.d.poll))
		v.mu.Unlock()
		if wait > 0 {
			if err := backoff.Sleep(ctx, wait); err != nil {
				return err
			}
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, answerTime)
		err := v.d.alive(bounded, v.namespace)
		late := bounded.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case late:
			return errLate
		case err != nil:
			return err
		}
		v.mu.Lock()
		v.heardNow()
		v.mu.Unlock()
	}
}

// heardNow is called with v.mu held.
func (v *view) heardNow() {
	v.heard = time.Now()
	for s := range v.sessions {
		s.wake(false)
	}
}

func number(version string) uint64 {
	n, _ := strconv.ParseUint(version, 10, 64)
	return n
}

// apply takes over a change of the slices.
func (v *view) apply(ch conn.Change[*endpointSlice]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ch.Reset {
		v.reset(ch)
		return
	}
	v.version = number(ch.Version)
	switch {
	case ch.Object == nil: // nothing new
		v.heardNow()
	case ch.Deleted:
		v.remove(ch.Object.Name, number(ch.Object.ResourceVersion))
	default:
		v.put(ch.Object)
	}
	v.heard = time.Now()
}

// reset takes over a list. After an outage no heartbeat counts that was seen
// before it: later ones may not have reached the API server.
func (v *view) reset(ch conn.Change[*endpointSlice]) {
	before := past{version: v.version, slices: v.byName, lost: v.lost}
	if v.since.IsZero() {
		before = v.past
		v.synced++
	}
	v.since, v.heard, v.version = ch.Since, time.Now(), number(ch.Version)
	v.byName, v.services, v.floors = map[string]*held{}, map[string]map[string]*held{}, map[string]uint64{}
	v.lost = before.lost
	if v.lost == nil {
		v.lost = map[string]map[string]bool{}
	}
	stands := false
	for _, s := range ch.All {
		old := before.slices[s.Name]
		stands = stands || old != nil && old.UID == s.UID
		if before.outage || !before.at.IsZero() && time.Since(before.at) > lingers {
			old = nil
		}
		v.hold(s, old)
	}
	if v.version < before.version || before.outage && !stands {
		v.miss(before.slices)
	}
	v.wakeAll()
}

func (v *view) wakeAll() {
	for s := range v.sessions {
		s.wake(true)
	}
}

// wakeOf wakes the sessions of a label.
func (v *view) wakeOf(label string, changed bool) {
	for s := range v.sessions {
		if s.label == label {
			s.wake(changed)
		}
	}
}

// applyTo takes over changes of labels, of pods or Services.
func (v *view) applyTo(to *map[string]map[string]string) func(conn.Change[*metadata]) {
	return func(ch conn.Change[*metadata]) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.heard = time.Now()
		switch {
		case ch.Reset:
			if *to == nil {
				v.synced++
			}
			*to = make(map[string]map[string]string, len(ch.All))
			for _, o := range ch.All {
				(*to)[o.Name] = o.Labels
			}
		case ch.Object == nil:
			return
		case ch.Deleted: // its endpoints go by themselves
			delete(*to, ch.Object.Name)
			return
		default:
			old, had := (*to)[ch.Object.Name]
			if had && maps.Equal(old, ch.Object.Labels) {
				return
			}
			(*to)[ch.Object.Name] = ch.Object.Labels
		}
		v.wakeAll()
	}
}
