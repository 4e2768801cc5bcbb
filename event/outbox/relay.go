package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// Relay publishes what was committed to a stream until ctx ends, whose error it
// returns.
func (b *Outbox) Relay(ctx context.Context, to event.Stream) error {
	holder := rand.Text()
	defer b.giveUp(context.WithoutCancel(ctx), holder)
	r := &relay{Outbox: b, to: to}
	for failures := 0; ; {
		n := 0
		err := fault.Guard(func() (err error) { n, err = r.round(ctx, holder); return err })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.o.log.Warn("event: outbox", "error", err)
			if e := backoff.Sleep(ctx, backoff.Policy{}.Wait(failures)); e != nil {
				return e
			}
			failures++
			continue
		}
		failures = 0
		if n > 0 {
			continue
		}
		timer := time.NewTimer(b.o.every)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-b.poke:
		}
		timer.Stop()
	}
}

// relay is one run of Relay.
type relay struct {
	*Outbox
	to       event.Stream
	failing  int64 // the row at the head that could not be published
	failures int   // how often
}

// line is a row of the table.
type line struct {
	seq    int64
	record *event.Record
	broken error // it holds no record
	done   bool  // published before those in front of it
}

// round publishes a batch, if it is this relay's turn, and returns how many rows
// are done with.
func (r *relay) round(ctx context.Context, holder string) (int, error) {
	// What takes longer than the turn is done by nobody else meanwhile only if
	// it ends with it. So does taking it from a database that does not answer.
	ctx, cancel := context.WithTimeout(ctx, r.o.turn*9/10)
	defer cancel()
	res, err := r.db.ExecContext(ctx, r.db.Kind.Text("UPDATE event_outbox_turn SET holder = ?, until = NOW + ? WHERE one = 1 AND (holder = ? OR until < NOW)"),
		holder, r.o.turn.Milliseconds(), holder)
	if err != nil {
		return 0, fmt.Errorf("taking the turn: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, err
	}
	lines, err := r.head(ctx)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	if lines[0].seq != r.failing && lines[0].broken == nil {
		n := slices.IndexFunc(lines, func(l line) bool { return l.broken != nil })
		if n < 0 {
			n = len(lines)
		}
		return r.together(ctx, lines[:n])
	}
	return r.oneByOne(ctx, lines)
}

// head reads the rows that are next.
func (b *Outbox) head(ctx context.Context) ([]line, error) {
	rows, err := b.db.QueryContext(ctx, b.db.Kind.Rebind("SELECT seq, record FROM event_outbox WHERE refused IS NULL ORDER BY seq LIMIT ?"), b.o.batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []line
	for rows.Next() {
		var l line
		var blob []byte
		if err := rows.Scan(&l.seq, &blob); err != nil {
			return nil, err
		}
		l.record, l.broken = eventdriver.ParseRecord(string(blob))
		lines = append(lines, l)
	}
	return lines, rows.Err()
}

// together publishes rows in one call. What fails is tried one by one.
func (r *relay) together(ctx context.Context, lines []line) (int, error) {
	records, seqs := make([]*event.Record, len(lines)), make([]any, len(lines))
	for i, l := range lines {
		records[i], seqs[i] = l.record, l.seq
	}
	err := r.to.Publish(ctx, records...)
	if err == nil {
		return len(lines), r.forget(ctx, seqs)
	}
	var some *event.PublishError
	if errors.As(err, &some) && some.Published > 0 && some.Published < len(lines) {
		if e := r.forget(ctx, seqs[:some.Published]); e != nil {
			return 0, e
		}
		lines = lines[some.Published:]
	}
	switch {
	case permanent(err):
		return r.oneByOne(ctx, lines)
	case ctx.Err() != nil, errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrClosed):
	default:
		r.failing, r.failures = lines[0].seq, 1
	}
	return 0, err
}

// permanent reports whether a record is refused for what it is.
func permanent(err error) bool {
	return errors.Is(err, event.ErrInvalid) || errors.Is(err, event.ErrTooLarge)
}

// oneByOne publishes rows each in a call of its own, and sets aside those that
// can't be published.
func (r *relay) oneByOne(ctx context.Context, lines []line) (int, error) {
	for i := range lines {
		l := lines[i]
		if l.done {
			continue
		}
		err := l.broken
		if err == nil {
			err = r.to.Publish(ctx, l.record)
		}
		switch {
		case err == nil:
			if err := r.forget(ctx, []any{l.seq}); err != nil {
				return i, err
			}
			continue
		case l.broken != nil, permanent(err):
			if err := r.refuse(ctx, l.seq, err); err != nil {
				return i, err
			}
			continue
		case ctx.Err() != nil, errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrClosed):
			return i, err
		}
		if l.seq != r.failing {
			r.failing, r.failures = l.seq, 0
		}
		r.failures++
		if r.failures < r.o.failures || !r.onePasses(ctx, lines[i+1:]) {
			return i, err
		}
		if err := r.refuse(ctx, l.seq, fmt.Errorf("failed %d times: %w", r.failures, err)); err != nil {
			return i, err
		}
	}
	return len(lines), nil
}

// behind is how many rows behind one that fails are tried, to see whether it is
// the row or the stream: the next ones may fail as well.
const behind = 5

// onePasses reports whether one of the first rows can be published.
func (r *relay) onePasses(ctx context.Context, lines []line) bool {
	for i := range lines[:min(behind, len(lines))] {
		l := &lines[i]
		if l.broken != nil || r.to.Publish(ctx, l.record) != nil {
			continue
		}
		l.done = true
		return r.forget(ctx, []any{l.seq}) == nil
	}
	return false
}

func (b *Outbox) forget(ctx context.Context, seqs []any) error {
	_, err := b.db.ExecContext(ctx, b.db.Kind.Rebind("DELETE FROM event_outbox WHERE seq IN ("+sql.Places(len(seqs))+")"), seqs...)
	return err
}

// refuse sets a row aside.
func (b *Outbox) refuse(ctx context.Context, seq any, why error) error {
	b.o.log.Error("event: outbox: record refused", "seq", seq, "error", why)
	text := strings.ToValidUTF8(why.Error(), "?")
	if len(text) > 250 {
		text = strings.ToValidUTF8(text[:250], "")
	}
	_, err := b.db.ExecContext(ctx, b.db.Kind.Rebind("UPDATE event_outbox SET refused = ? WHERE seq = ?"), text, seq)
	return err
}

// giveUp lets another relay take over at once.
func (b *Outbox) giveUp(ctx context.Context, holder string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := fault.Guard(func() error {
		_, err := b.db.ExecContext(ctx, b.db.Kind.Rebind("UPDATE event_outbox_turn SET holder = '', until = 0 WHERE holder = ?"), holder)
		return err
	})
	if err != nil {
		b.o.log.Warn("event: outbox: giving up the turn failed", "error", err)
	}
}
