package discovery

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/watch"
)

// follower keeps one service's snapshot up to date, for everyone in the
// process who asks.
type follower struct {
	f        *front
	service  string
	snapshot atomic.Pointer[Snapshot]
	used     atomic.Bool  // by Lookup, since the last sweep
	shortest atomic.Int64 // the shortest TTL of its instances, as a Duration; 0: none is known
	stop     context.CancelFunc

	// guarded by front.mu
	users    int // of Get and Watch
	lastUsed time.Time

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced with every snapshot
	keep      keeper
	timer     *time.Timer        // for the next time that keep must be asked
	restart   context.CancelFunc // ends the session in progress
	session   uint64             // the number of the session in progress
	confirmed uint64             // the session that delivered last
	cut       bool               // the last session has failed
	history   []Change           // the last ones, oldest first
}

func (fo *follower) run(ctx context.Context) {
	o := watch.Options{
		Backoff: backoff.Policy{Min: fo.f.retryMin, Max: fo.f.retryMax},
		OnError: fo.fail,
	}
	defer func() {
		fo.mu.Lock()
		defer fo.mu.Unlock()
		if fo.timer != nil {
			fo.timer.Stop()
		}
		if fo.cut {
			fo.f.cut.Add(-1)
		}
	}()
	watch.Follow(ctx, o, func(ctx context.Context, _ bool, progress func(bool)) error {
		session, cancel := context.WithCancel(ctx)
		defer cancel()
		fo.mu.Lock()
		fo.restart = cancel
		fo.session++
		fo.mu.Unlock()
		err := fo.f.driver.Watch(session, fo.f.full(fo.service), func(u Update) {
			if session.Err() == nil {
				if u.Stale != nil {
					_ = u.Stale.Error() // one that can't say what it is ends the session here, and no reader of Err
				}
				fo.apply(u)
				progress(true)
			}
		})
		if ctx.Err() == nil && session.Err() != nil {
			return watch.ErrGap // refresh: the next session starts at once
		}
		if err == nil {
			err = fault.Markf(ErrUnavailable, "the registry ended the watch")
		}
		return err
	})
}

// read returns the current snapshot and what is closed when there is a newer.
func (fo *follower) read() (*Snapshot, <-chan struct{}) {
	fo.mu.Lock()
	defer fo.mu.Unlock()
	return fo.snapshot.Load(), fo.changed
}

// current returns the number of the session in progress.
func (fo *follower) current() uint64 {
	fo.mu.Lock()
	defer fo.mu.Unlock()
	return fo.session
}

// asked reports whether a session after the given one has delivered. If not
// it sees to it that one does: the session in progress ends as soon as it has
// delivered, so callers that come at once share the next.
func (fo *follower) asked(after uint64) bool {
	fo.mu.Lock()
	defer fo.mu.Unlock()
	if fo.confirmed > after {
		return true
	}
	if fo.confirmed == fo.session {
		fo.restart()
	}
	return false
}

// apply takes over what a session delivers.
func (fo *follower) apply(u Update) {
	fo.mu.Lock()
	defer fo.mu.Unlock()
	if u.Same && fo.confirmed != fo.session {
		return // a driver's mistake: there is nothing to confirm
	}
	first := fo.confirmed != fo.session
	fo.confirmed = fo.session
	now := time.Now()
	old := fo.snapshot.Load()
	if u.Stale == nil {
		fo.f.contact.confirm(now.Add(-u.Age))
	}
	fo.silence(now)
	if first && fo.cut {
		fo.keep.outage(old.AsOf, now)
	}
	fo.reached(u.Stale == nil, u.Stale)
	s := &Snapshot{Service: fo.service, AsOf: now.Add(-u.Age), State: Live, Revision: old.Revision}
	if u.Stale != nil {
		s.State, s.Err = Stale, fault.Wrap(fo.f.scope, "watch", fo.service, u.Stale)
	}
	if u.Same {
		s.Instances, s.Unconfirmed, s.Preserved = old.Instances, old.Unconfirmed, old.Preserved
	} else {
		for i := range u.Instances {
			u.Instances[i].Service = fo.service
		}
		slices.SortFunc(u.Instances, byID)
		fo.keep.apply(now, u, first)
		shortest := fo.keep.shortest()
		fo.shortest.Store(int64(shortest))
		fo.f.contact.follow(now, shortest)
		fo.view(s, now)
	}
	fo.publish(s)
}

// silence takes note of the last time in which the registry gave no answer, to
// whatever this process asked, and reports whether it gives none now.
func (fo *follower) silence(now time.Time) (lasts bool) {
	from, until, lasts := fo.f.contact.silence(now)
	fo.keep.outage(from, until)
	return lasts
}

// fail says that a session ended: what is known gets stale.
func (fo *follower) fail(err error) {
	fo.mu.Lock()
	defer fo.mu.Unlock()
	old := fo.snapshot.Load()
	s := *old
	if s.State == Live {
		s.State = Stale
	}
	s.Err = fault.Wrap(fo.f.scope, "watch", fo.service, err)
	fo.reached(false, s.Err)
	fo.publish(&s)
}

// reached notes whether the registry can be reached. An outage concerns all
// services alike and is worth one warning, not one for each.
func (fo *follower) reached(ok bool, why error) {
	if fo.cut != ok {
		return
	}
	fo.cut = !ok
	if ok {
		if fo.f.cut.Add(-1) == 0 {
			fo.f.log.Info("discovery: the registry is back", "backend", fo.f.backend.Name)
		}
		return
	}
	level := slog.LevelDebug
	if fo.f.cut.Add(1) == 1 {
		level = slog.LevelWarn
	}
	fo.f.log.Log(context.Background(), level, "discovery: the registry is unavailable", "backend", fo.f.backend.Name, "service", fo.service, "error", why)
}

// view puts what is kept into a snapshot and arranges to look again when that
// ends by itself.
func (fo *follower) view(s *Snapshot, now time.Time) {
	before := fo.snapshot.Load()
	seen := fo.keep.view(now)
	s.Instances, s.Unconfirmed, s.Preserved = seen.instances, seen.unconfirmed, seen.preserved
	if s.Preserved > 0 && before.Preserved == 0 {
		fo.f.log.Warn("discovery: many instances expired at once and are kept for a time", "backend", fo.f.backend.Name,
			"service", fo.service, "kept", s.Preserved, "of", len(s.Instances))
	}
	if s.Unconfirmed > 0 && before.Unconfirmed == 0 {
		fo.f.log.Warn("discovery: the registry has lost instances, which stay until they register again or their TTL has passed",
			"backend", fo.f.backend.Name, "service", fo.service, "lost", s.Unconfirmed, "of", len(s.Instances))
	}
	if fo.timer != nil {
		fo.timer.Stop()
		fo.timer = nil
	}
	if seen.next > 0 {
		fo.timer = time.AfterFunc(seen.next, fo.again)
	}
}

// again looks whether entries that were kept have had their time. While the
// registry is unavailable nothing is dropped.
func (fo *follower) again() {
	if !fo.f.life.Enter() {
		return
	}
	defer fo.f.life.Leave()
	fo.mu.Lock()
	defer fo.mu.Unlock()
	if fo.cut {
		return
	}
	now := time.Now()
	if fo.silence(now) { // the next answer decides, or the end of the session
		fo.timer = time.AfterFunc(time.Second, fo.again)
		return
	}
	s := *fo.snapshot.Load()
	fo.view(&s, now)
	fo.publish(&s)
}

// publish replaces the snapshot. Its Revision grows if a reader would see a
// difference other than in AsOf.
func (fo *follower) publish(s *Snapshot) {
	old := fo.snapshot.Load()
	if slices.EqualFunc(s.Instances, old.Instances, Instance.Equal) {
		s.Instances = old.Instances // the one array that readers have already
	} else {
		s.Revision = old.Revision + 1
	}
	if s.State != old.State || s.Unconfirmed != old.Unconfirmed || s.Preserved != old.Preserved || (s.Err == nil) != (old.Err == nil) {
		s.Revision = old.Revision + 1
	}
	fo.snapshot.Store(s)
	changes := fo.keep.taken()
	for i := range changes {
		changes[i].Revision = s.Revision
	}
	fo.history = remember(fo.history, fo.f.history, changes...)
	close(fo.changed)
	fo.changed = make(chan struct{})
}
