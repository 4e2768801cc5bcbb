package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// member is one consumer of a group.
type member struct {
	d     *driver
	g     event.GroupConfig
	holds atomic.Bool  // of an exclusive group: it is this one's turn
	until atomic.Int64 // and the process's clock at which that is no longer sure

	// Used by Fetch only, of an exclusive group.
	known  int64 // the last number that was returned in this turn
	unsure bool  // a fetch failed that may have handed out what comes after it
}

var started = time.Now()

func clock() int64 { return int64(time.Since(started)) }

// Holds is for the exclusive one. It stops a tenth before others may start.
func (m *member) Holds() bool {
	if !m.g.Exclusive {
		return true
	}
	if m.holds.Load() && clock() >= m.until.Load() {
		m.holds.Store(false) // the turn is over, even if nobody has taken the next
	}
	return m.holds.Load()
}

func (m *member) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for round := 0; ; round++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var last int64
		idle := false
		if round > 0 {
			last, idle = m.idle(ctx)
		}
		if !idle {
			var ds []event.Delivered
			var err error
			last, ds, err = m.fetch(ctx, limit)
			if err != nil || len(ds) > 0 {
				return ds, err
			}
		}
		pause := min(max(m.g.AckWait/4, 5*time.Millisecond), time.Second)
		if m.g.Exclusive && !m.holds.Load() {
			pause = min(max(m.g.AckWait/20, 20*time.Millisecond), time.Second)
			last = 1<<63 - 1 // nothing new concerns it
		}
		wait, cancel := context.WithTimeout(ctx, pause)
		m.d.tail.wait(wait, last)
		cancel()
	}
}

// idle looks, without a transaction, whether there is nothing to do.
func (m *member) idle(ctx context.Context) (last int64, idle bool) {
	var handed, until, now, due, end int64
	var holder string
	err := m.d.db.Read.QueryRowContext(ctx, m.d.kind.Rebind("SELECT g.handed, g.holder, g.holder_until, "+m.d.now()+", "+m.d.last()+`,
		(SELECT COALESCE(MIN(p.until), 4611686018427387904) FROM event_pending p WHERE p.stream = g.stream AND p.name = g.name)
		FROM event_groups g JOIN event_streams s ON s.stream = g.stream WHERE g.stream = ? AND g.name = ?`), m.d.stream, m.g.Name).
		Scan(&handed, &holder, &until, &now, &end, &due)
	if err != nil {
		return 0, false // the transaction will say what it is
	}
	if m.g.Exclusive {
		if holder != m.g.Consumer && holder != "" && until > now && !m.holds.Load() {
			return handed, true
		}
		if holder != m.g.Consumer || !m.holds.Load() || until-now < m.g.AckWait.Milliseconds()*3/4 {
			return handed, false
		}
	}
	return handed, end <= handed && due > now
}

// fetch is one round: it returns what it was handed, and the last number that
// the group was.
func (m *member) fetch(ctx context.Context, limit int) (last int64, ds []event.Delivered, err error) {
	bounded, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	began := clock()
	lost, taken := false, false
	err = m.d.tx(bounded, func(t *tx) error {
		ds, lost, taken = nil, false, false
		var handed, until, now int64
		var holder string
		err := t.row(bounded, "SELECT handed, holder, holder_until, "+m.d.now()+" FROM event_groups WHERE stream = ? AND name = ?"+t.forUpdate(), m.d.stream, m.g.Name).
			Scan(&handed, &holder, &until, &now)
		if errors.Is(err, dbsql.ErrNoRows) {
			return fault.Markf(fault.NotFound, "group %q was deleted", m.g.Name)
		}
		if err != nil {
			return err
		}
		last = handed
		deadline := now // what is due by then is handed out again
		if m.g.Exclusive {
			mine := m.holds.Load()
			switch {
			case holder == m.g.Consumer && mine:
				// What was handed out and never arrived would not be due before
				// the next turn, and later records would go before it.
				if m.unsure {
					if _, err := t.exec(bounded, "UPDATE event_pending SET until = 0, attempts = attempts - 1 WHERE stream = ? AND name = ? AND seq > ?", m.d.stream, m.g.Name, m.known); err != nil {
						return err
					}
				}
			case mine:
				lost = true
				return nil
			case holder != "" && until > now && holder != m.g.Consumer:
				return nil
			default: // a new turn: everything that others had
				taken, deadline = true, 1<<62
			}
			if taken || until-now < m.g.AckWait.Milliseconds()*3/4 {
				if _, err := t.exec(bounded, "UPDATE event_groups SET holder = ?, holder_until = ? WHERE stream = ? AND name = ?", m.g.Consumer, now+m.g.AckWait.Milliseconds(), m.d.stream, m.g.Name); err != nil {
					return err
				}
				until = now + m.g.AckWait.Milliseconds()
			}
			if taken { // and it stays all, however long it takes to hand it out
				if _, err := t.exec(bounded, "UPDATE event_pending SET until = 0 WHERE stream = ? AND name = ?", m.d.stream, m.g.Name); err != nil {
					return err
				}
			}
		}
		ds, err = m.again(bounded, t, limit, deadline, now)
		if err != nil {
			return err
		}
		if len(ds) < limit && (!m.g.Exclusive || len(ds) == 0) {
			more, err := m.fresh(bounded, t, limit-len(ds), handed, now, &last)
			if err != nil {
				return err
			}
			ds = append(ds, more...)
		}
		if m.g.Exclusive {
			m.until.Store(began + (until-now)*int64(time.Millisecond) - int64(m.g.AckWait/10))
		}
		return nil
	})
	m.unsure = err != nil
	if err != nil {
		return last, nil, err
	}
	if lost {
		m.holds.Store(false)
		return last, nil, fault.Lost
	}
	if m.g.Exclusive && taken {
		m.holds.Store(true)
		m.known = 0
	}
	if len(ds) > 0 {
		m.known = max(m.known, ds[len(ds)-1].Tag.(int64))
	}
	return last, ds, nil
}

// again hands out what is due: acknowledged by nobody in time, or released.
func (m *member) again(ctx context.Context, t *tx, limit int, deadline, now int64) ([]event.Delivered, error) {
	rs, err := t.query(ctx, "SELECT seq, attempts FROM event_pending WHERE stream = ? AND name = ? AND until <= ? ORDER BY seq LIMIT ?", m.d.stream, m.g.Name, deadline, limit)
	if err != nil {
		return nil, err
	}
	var seqs []any
	attempts := map[int64]int{}
	err = each(rs, func() error {
		var seq int64
		var n int
		if err := rs.Scan(&seq, &n); err != nil {
			return err
		}
		seqs = append(seqs, seq)
		attempts[seq] = n + 1
		return nil
	})
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	in := "(" + sql.Places(len(seqs)) + ")"
	if _, err := t.exec(ctx, "UPDATE event_pending SET consumer = ?, until = ?, attempts = attempts + 1 WHERE stream = ? AND name = ? AND seq IN "+in,
		append([]any{m.g.Consumer, m.deadline(now), m.d.stream, m.g.Name}, seqs...)...); err != nil {
		return nil, err
	}
	found, err := t.query(ctx, "SELECT "+columns+" FROM "+m.d.table+" WHERE seq IN "+in+" ORDER BY seq", seqs...)
	if err != nil {
		return nil, err
	}
	records, err := scan(found)
	if err != nil {
		return nil, err
	}
	ds := make([]event.Delivered, len(records))
	for i, r := range records {
		seq, _ := parse(r.Position)
		ds[i] = event.Delivered{Record: r, Attempt: attempts[seq], Tag: seq}
		delete(attempts, seq)
	}
	return ds, m.forget(ctx, t, slices.Collect(maps.Keys(attempts)))
}

// forget takes back what was handed out of records that somebody has deleted: nobody
// will acknowledge it, and retention would wait for it.
func (m *member) forget(ctx context.Context, t *tx, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	args := []any{m.d.stream, m.g.Name}
	for _, seq := range seqs {
		args = append(args, seq)
	}
	_, err := t.exec(ctx, "DELETE FROM event_pending WHERE stream = ? AND name = ? AND seq IN ("+sql.Places(len(seqs))+")", args...)
	return err
}

// deadline is until when a delivery is this member's. An exclusive one's are
// until its turn ends.
func (m *member) deadline(now int64) int64 {
	if m.g.Exclusive {
		return 1 << 61
	}
	return now + m.g.AckWait.Milliseconds()
}

// fresh hands out what the group was not handed before.
func (m *member) fresh(ctx context.Context, t *tx, limit int, handed, now int64, last *int64) ([]event.Delivered, error) {
	// Numbers have no gaps: the planner needs no statistics to see how few these are.
	found, err := t.query(ctx, "SELECT "+columns+" FROM "+m.d.table+" WHERE seq > ? AND seq <= ? ORDER BY seq", handed, handed+int64(limit))
	if err != nil {
		return nil, err
	}
	records, err := scan(found)
	if err == nil && len(records) == 0 { // the end, or rows that somebody deleted
		found, err = t.query(ctx, "SELECT "+columns+" FROM "+m.d.table+" WHERE seq > ? ORDER BY seq LIMIT ?", handed, limit)
		if err != nil {
			return nil, err
		}
		records, err = scan(found)
	}
	if err != nil || len(records) == 0 {
		return nil, err
	}
	*last, _ = parse(records[len(records)-1].Position)
	if _, err := t.exec(ctx, "UPDATE event_groups SET handed = ? WHERE stream = ? AND name = ?", *last, m.d.stream, m.g.Name); err != nil {
		return nil, err
	}
	var ds []event.Delivered
	var args []any
	for _, r := range records {
		if m.g.Types.Match(r.Type) {
			seq, _ := parse(r.Position)
			ds = append(ds, event.Delivered{Record: r, Attempt: 1, Tag: seq})
			args = append(args, m.d.stream, m.g.Name, seq, m.g.Consumer, m.deadline(now))
		}
	}
	for len(args) > 0 {
		n := min(len(args)/5, rows)
		if _, err := t.exec(ctx, "INSERT INTO event_pending (stream, name, seq, consumer, until, attempts) VALUES (?, ?, ?, ?, ?, 1)"+strings.Repeat(", (?, ?, ?, ?, ?, 1)", n-1), args[:5*n]...); err != nil {
			return nil, err
		}
		args = args[5*n:]
	}
	return ds, nil
}

// each runs a statement on the deliveries that are still this member's.
func (m *member) each(ctx context.Context, ds []event.Delivered, statement string, args ...any) error {
	for some := range slices.Chunk(ds, 500) {
		all := append(slices.Clone(args), m.d.stream, m.g.Name, m.g.Consumer)
		for _, d := range some {
			all = append(all, d.Tag)
		}
		err := m.d.tx(ctx, func(t *tx) error {
			_, err := t.exec(ctx, statement+" WHERE stream = ? AND name = ? AND consumer = ? AND seq IN ("+sql.Places(len(some))+")", all...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *member) Ack(ctx context.Context, ds []event.Delivered) error {
	return m.each(ctx, ds, "DELETE FROM event_pending")
}

func (m *member) Extend(ctx context.Context, ds []event.Delivered) error {
	if !m.g.Exclusive {
		return m.each(ctx, ds, "UPDATE event_pending SET until = "+m.d.now()+" + ?", m.g.AckWait.Milliseconds())
	}
	if !m.holds.Load() {
		return nil
	}
	began := clock()
	n := int64(0)
	err := m.d.tx(ctx, func(t *tx) (err error) {
		n, err = t.exec(ctx, "UPDATE event_groups SET holder_until = "+m.d.now()+" + ? WHERE stream = ? AND name = ? AND holder = ?", m.g.AckWait.Milliseconds(), m.d.stream, m.g.Name, m.g.Consumer)
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		if m.holds.CompareAndSwap(true, false) {
			return fault.Lost
		}
		return nil
	}
	m.until.Store(began + int64(m.g.AckWait) - int64(m.g.AckWait/10))
	return nil
}

func (m *member) Release(ctx context.Context, ds []event.Delivered) error {
	return m.each(ctx, ds, "UPDATE event_pending SET until = 0, attempts = attempts - 1")
}

func (m *member) Lag(ctx context.Context) (event.Lag, error) {
	list, err := m.d.groups(ctx, m.d.groupsQuery()+" AND g.name = ?", m.d.stream, m.g.Name)
	if err != nil {
		return event.Lag{}, err
	}
	if len(list) == 0 {
		return event.Lag{}, fault.NotFound
	}
	return list[0].Lag, nil
}

func (m *member) Close(ctx context.Context) error {
	return m.d.tx(ctx, func(t *tx) error {
		if _, err := t.exec(ctx, "UPDATE event_pending SET until = 0 WHERE stream = ? AND name = ? AND consumer = ?", m.d.stream, m.g.Name, m.g.Consumer); err != nil {
			return err
		}
		_, err := t.exec(ctx, "UPDATE event_groups SET holder = '', holder_until = 0 WHERE stream = ? AND name = ? AND holder = ?", m.d.stream, m.g.Name, m.g.Consumer)
		return err
	})
}
