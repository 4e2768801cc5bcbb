package elastic

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/dbvalue"
	"github.com/micro/go-platform/internal/fault"
)

// Limits of one bulk request.
const (
	maxActions = 500
	maxBulk    = 8 << 20 // bytes, unless one document has more
)

func (d *driver) Put(ctx context.Context, name string, r *db.Record, c db.Condition) error {
	return d.Write(ctx, name, []db.Write{{ID: r.ID, Record: r, Condition: c}})[0]
}

func (d *driver) Delete(ctx context.Context, name, id string, version uint64) error {
	return d.Write(ctx, name, []db.Write{{ID: id, Condition: db.Condition{Must: db.Exist, Version: version}}})[0]
}

// Write does writes in rounds: each looks at what is stored, if it must, and
// then sends a bulk request whose parts hold only if that is still so. What
// another was faster with takes part in the next round.
func (d *driver) Write(ctx context.Context, name string, ws []db.Write) []error {
	b := &bulk{d: d, t: d.table(name), ws: ws, errs: make([]error, len(ws)), names: make([]string, len(ws)), most: maxBulk}
	defer b.t.written.Add(1)
	for i := range ws {
		b.todo = append(b.todo, i)
		b.names[i] = rand.Text()
	}
	collision := backoff.Policy{Min: time.Millisecond, Max: 250 * time.Millisecond}
	for collisions := 0; len(b.todo) > 0; {
		busy := b.busy
		if !b.round(ctx) {
			continue
		}
		wait, why := collision.Wait(collisions), "others are faster"
		collisions++
		if b.busy > busy {
			wait, why = whileBusy.Wait(busy), "the server is busy"
		}
		if err := backoff.Sleep(ctx, wait); err != nil {
			b.fail(b.todo, fault.Markf(fault.Unavailable, "%s: %w", why, err))
			break
		}
	}
	return b.errs
}

// bulk is the state of a Write.
type bulk struct {
	d     *driver
	t     *table
	ws    []db.Write
	errs  []error
	names []string // of the writes
	todo  []int    // in order
	most  int      // bytes of a request
	busy  int      // rounds in which the server was
}

// action is one write with what it depends on.
type action struct {
	i       int
	verb    string // "create", "index", "delete"
	seq     int64  // below 0: whatever is stored
	term    int64
	version uint64
	created time.Time
}

// round does the first write of each id that is to do, as far as one request
// can hold them. It reports whether any is to do again a moment later.
func (b *bulk) round(ctx context.Context) (wait bool) {
	now, later := b.turn()
	b.todo = later
	stored, err := b.look(ctx, now)
	if err != nil {
		b.fail(now, err)
		return false
	}
	var actions []action
	var body bytes.Buffer
	for n, i := range now {
		a, ok := b.decide(i, stored[i])
		if !ok {
			continue
		}
		size := body.Len()
		if err := b.put(&body, a); err != nil {
			body.Truncate(size)
			b.errs[i] = err
			continue
		}
		if size > 0 && body.Len() > b.most {
			body.Truncate(size)
			b.again(now[n:]...)
			break
		}
		actions = append(actions, a)
	}
	if len(actions) == 0 {
		return false
	}
	return b.send(ctx, actions, body.Bytes())
}

func (b *bulk) fail(list []int, err error) {
	for _, i := range list {
		b.errs[i] = err
	}
}

func (b *bulk) again(list ...int) {
	b.todo = append(b.todo, list...)
	slices.Sort(b.todo)
}

// turn parts what is to do in what can be done at once and the rest.
func (b *bulk) turn() (now, later []int) {
	seen := make(map[string]bool, len(b.todo))
	for _, i := range b.todo {
		if id := b.ws[i].ID; len(now) < maxActions && !seen[id] {
			now, seen[id] = append(now, i), true
		} else {
			seen[id] = true
			later = append(later, i)
		}
	}
	return now, later
}

// look reads what is stored for the writes that depend on it.
func (b *bulk) look(ctx context.Context, now []int) (map[int]state, error) {
	var ids []string
	var of []int
	for _, i := range now {
		w := b.ws[i]
		if b.retried(i) || w.Condition.Must != db.NotExist && (w.Record != nil || w.Condition.Version != 0) {
			ids, of = append(ids, w.ID), append(of, i)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := b.d.get(ctx, b.t, "_source_includes=version,created,write", ids)
	if err != nil {
		return nil, err
	}
	stored := make(map[int]state, len(of))
	for n, i := range of {
		stored[i] = found[n]
	}
	return stored, nil
}

// retried reports whether a write was refused for what is stored. That may be
// itself: servers send a write again when a primary shard fails under it.
func (b *bulk) retried(i int) bool { return b.errs[i] != nil }

// decide applies a write's condition to what is stored. It reports false if
// that was the end of it.
func (b *bulk) decide(i int, s state) (action, bool) {
	w, again := b.ws[i], b.retried(i)
	c := w.Condition
	a := action{i: i, verb: "index", seq: s.Seq, term: s.Term}
	b.errs[i] = s.failed(b.t)
	switch {
	case b.errs[i] != nil:
		return a, false
	case again && w.Record != nil && s.Found && s.Doc.Write == b.names[i]:
		b.done(action{i: i, version: uint64(s.Doc.Version), created: time.UnixMicro(s.Doc.Created).UTC()})
		return a, false
	case w.Record == nil && c.Version == 0:
		a.verb, a.seq = "delete", -1
		return a, true
	case c.Must == db.NotExist && again && s.Found:
		b.errs[i] = fault.Exists
	case c.Must == db.Exist && !s.Found:
		b.errs[i] = fault.NotFound
	case c.Must == db.Exist && c.Version != 0 && c.Version != uint64(s.Doc.Version):
		b.errs[i] = dbvalue.Conflict(uint64(s.Doc.Version), c.Version)
	}
	if b.errs[i] != nil {
		return a, false
	}
	switch {
	case w.Record == nil:
		a.verb = "delete"
	case !s.Found:
		// Nothing is left of a record that was deleted; so a new one's versions
		// begin with the time, which no record before it has reached by updates.
		a.verb, a.seq, a.created = "create", -1, w.Record.Created
		a.version = uint64(time.Now().UnixMicro())
	default:
		a.version, a.created = uint64(s.Doc.Version)+1, time.UnixMicro(s.Doc.Created).UTC()
	}
	return a, true
}

// done tells the record of a write what was stored.
func (b *bulk) done(a action) {
	if r := b.ws[a.i].Record; r != nil {
		r.Version, r.Created = a.version, a.created
	}
}
