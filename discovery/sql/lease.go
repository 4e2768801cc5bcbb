package sql

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// leases are those of one Discovery: one for each TTL that its instances have,
// however many they are. An instance without heartbeats has its own, which the
// others must not renew.
type leases struct {
	d *driver

	mu     sync.Mutex
	shared map[time.Duration]*lease
	own    map[name]record
}

// name is that of a row.
type name struct{ service, id string }

func nameOf(e discovery.Entry) name { return name{e.Service, e.ID} }

// record is what this Discovery knows of a row that it wrote.
type record struct {
	owner, lease string
	sure         bool // it was there when it was looked for last
}

// lease is shared by all entries of a TTL. Heartbeats that come shortly after
// one another share a round.
type lease struct {
	ttl  time.Duration
	turn chan struct{} // held by whoever grants or renews; guards what follows

	id   string    // "": none
	sent time.Time // when the last round that succeeded began
}

// lock returns the lease of a TTL, whose turn the caller then has.
func (l *leases) lock(ctx context.Context, ttl time.Duration) (*lease, error) {
	l.mu.Lock()
	s := l.shared[ttl]
	if s == nil {
		s = &lease{ttl: ttl, turn: make(chan struct{}, 1)}
		l.shared[ttl] = s
	}
	l.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *lease) unlock() { <-s.turn }

// A round that is so recent, in parts of the TTL, is enough: for an entry that is
// to be written as if the lease were new, and for a heartbeat of one of many. The
// one that made the round comes again before the lease ends.
const (
	forNew  = 12
	forBeat = 4
)

// get returns a lease that an entry can be written with, as if it were new.
func (l *leases) get(ctx context.Context, e discovery.Entry) (string, error) {
	if e.Once {
		return l.grant(ctx, e.TTL)
	}
	s, err := l.lock(ctx, e.TTL)
	if err != nil {
		return "", err
	}
	defer s.unlock()
	err = l.round(ctx, s, forNew)
	if err == nil && s.id == "" {
		sent := time.Now()
		s.id, err = l.grant(ctx, e.TTL)
		s.sent = sent
	}
	return s.id, err
}

// grant makes a lease. Nothing is registered by that, so what is lost of it is
// nothing.
func (l *leases) grant(ctx context.Context, ttl time.Duration) (string, error) {
	id := rand.Text()
	_, err := l.d.exec(ctx, "INSERT INTO discovery_leases (id, until) VALUES (?, NOW + ?)", id, ttl.Milliseconds())
	if err != nil {
		return "", err
	}
	return id, nil
}

// ended gives up a lease that the database doesn't have.
func (l *leases) ended(ctx context.Context, e discovery.Entry, id string) error {
	if e.Once {
		return nil
	}
	s, err := l.lock(ctx, e.TTL)
	if err != nil {
		return err
	}
	defer s.unlock()
	if s.id == id {
		s.id = ""
	}
	return nil
}

// renew renews an entry's lease and reports whether it still has the row.
func (l *leases) renew(ctx context.Context, e discovery.Entry) (bool, error) {
	s, err := l.lock(ctx, e.TTL)
	if err != nil {
		return false, err
	}
	defer s.unlock()
	err = l.round(ctx, s, forBeat)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.own[nameOf(e)]
	return s.id != "" && r.lease == s.id && r.owner == e.Owner && r.sure, nil
}

const (
	prolong = "UPDATE discovery_leases SET until = NOW + ? WHERE id = ? AND until > NOW"
	holding = " AND (SELECT COUNT(*) FROM discovery_instances WHERE lease = ? AND gone = 0) BETWEEN ? AND ?"
)

// round renews a shared lease, unless that was done just now. The statement
// counts the rows as well: if others have deleted or replaced one, it finds
// nothing, and the rows are read. A lease that has ended is given up: its id is ""
// then.
func (l *leases) round(ctx context.Context, s *lease, part time.Duration) error {
	if s.id == "" || time.Since(s.sent) < s.ttl/part {
		return nil
	}
	least, most := l.rows(s.id)
	sent := time.Now()
	n, err := l.d.exec(ctx, prolong+holding, s.ttl.Milliseconds(), s.id, s.id, least, most)
	if err == nil && n == 0 {
		n, err = l.check(ctx, s)
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		s.id = ""
	default:
		s.sent = sent
	}
	return nil
}

// check reads which rows a lease has, and renews it. If one is there that nobody
// here wants, as after a goodbye that failed, the lease is left to end with it,
// and heartbeats write the others with another lease.
func (l *leases) check(ctx context.Context, s *lease) (renewed int64, err error) {
	there := map[name]bool{}
	err = l.d.rows(ctx, "SELECT service, id FROM discovery_instances WHERE lease = ? AND gone = 0", []any{s.id}, func(scan func(...any) error) error {
		var row name
		err := scan(&row.service, &row.id)
		there[row] = true
		return err
	})
	if err != nil || !l.found(s.id, there) {
		return 0, err
	}
	return l.d.exec(ctx, prolong, s.ttl.Milliseconds(), s.id)
}

// found notes which rows a lease has, and reports whether all are wanted.
func (l *leases) found(id string, there map[name]bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for row, r := range l.own {
		if r.lease == id && r.sure && !there[row] {
			r.sure = false
			l.own[row] = r
		}
	}
	for row := range there {
		if _, ok := l.own[row]; !ok {
			return false
		}
	}
	return true
}

// rows returns how many rows a lease has: those that are sure, and perhaps
// others.
func (l *leases) rows(id string) (least, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.own {
		if r.lease == id {
			most++
			if r.sure {
				least++
			}
		}
	}
	return least, most
}

// writing notes that a row is about to be written. settle must be called with the
// outcome.
func (l *leases) writing(row name, e discovery.Entry, lease string) (settle func(err error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, had := l.own[row]
	r := record{owner: e.Owner, lease: lease}
	l.own[row] = r
	return func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		now, there := l.own[row]
		switch {
		case !there || now != r: // it has left since
		case err == nil:
			r.sure = true
			l.own[row] = r
		case had && before.owner == e.Owner && errors.Is(err, fault.UnknownOutcome):
			// It is wanted, and the next heartbeat writes it again.
		case had && before.owner == e.Owner && !errors.Is(err, fault.Exists):
			l.own[row] = before
		default:
			delete(l.own, row)
		}
	}
}

// forget is called before an owner's row is removed: if that fails, nobody here
// wants it. It returns the row's lease.
func (l *leases) forget(e discovery.Entry) (lease string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.own[nameOf(e)]
	if r.owner != e.Owner {
		return ""
	}
	delete(l.own, nameOf(e))
	return r.lease
}
