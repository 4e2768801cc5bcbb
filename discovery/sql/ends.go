package sql

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// ends notices leases that end, for all sessions. It looks when the lease that
// ends first is due, which heartbeats have mostly put off by then: so a process
// asks once in the greater part of a TTL, and not for each service.
type ends struct {
	poke func() // makes the tail ask, which looks

	mu     sync.Mutex
	looked int64                // up to when, by the database's clock; 0: sessions have seen no lease
	next   time.Time            // when to look again, by the local clock; zero: not
	timer  *time.Timer          // for that
	dead   map[string]time.Time // leases that have ended, and when that was seen
	closed bool
}

const (
	page   = 1000
	recent = time.Minute // how long the dead are remembered: sessions read within seconds
)

// expect says that a session has read a lease.
func (e *ends) expect(until, now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.looked == 0 {
		e.looked = now
	}
	e.by(until - now)
}

// by looks again in some milliseconds at the latest. Called with e.mu held.
func (e *ends) by(ms int64) {
	wait := time.Duration(ms+1) * time.Millisecond // a millisecond later it certainly has
	at := time.Now().Add(wait)
	if e.closed || !e.next.IsZero() && !at.Before(e.next) {
		return
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.next, e.timer = at, time.AfterFunc(wait, e.poke)
}

// due returns from when on to look, and false if it isn't time.
func (e *ends) due() (from int64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.looked, !e.next.IsZero() && !time.Now().Before(e.next)
}

// of reports whether one of some leases has ended.
func (e *ends) of(leases map[string]bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.dead {
		if leases[id] {
			return true
		}
	}
	return false
}

func (e *ends) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.timer != nil {
		e.timer.Stop()
	}
}

// end is a lease as look reads it.
type end struct {
	id         string
	until, now int64
}

// look reads which leases have ended since it looked last, if one may have.
func (d *driver) look(ctx context.Context) error {
	from, due := d.ends.due()
	if !due {
		return nil
	}
	var all []end
	err := d.rows(ctx, "SELECT id, until, NOW FROM discovery_leases WHERE until > ? ORDER BY until LIMIT "+strconv.Itoa(page), []any{from}, func(scan func(...any) error) error {
		var l end
		err := scan(&l.id, &l.until, &l.now)
		all = append(all, l)
		return err
	})
	if err == nil {
		d.ends.note(all)
	}
	return err
}

// note takes what look has read: the first leases of all that ended since, or
// will.
func (e *ends) note(all []end) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for id, seen := range e.dead {
		if now.Sub(seen) > recent {
			delete(e.dead, id)
		}
	}
	e.next = time.Time{}
	for _, l := range all {
		if l.until > l.now { // the first that lives: all before it are noted
			e.looked = l.now
			e.by(l.until - l.now)
			return
		}
		e.dead[l.id] = now
	}
	if n := len(all); n > 0 {
		e.looked = all[n-1].until
		if n == page { // there may be more that ended in that millisecond
			if all[0].until < e.looked {
				e.looked--
			}
			e.by(0)
		}
	}
}
