package rabbitmq

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
)

// cursor is up to where the stream was copied to a group's queue, as the newest
// message of the group's cursor stream says it: "1234 <mark>".
type cursor struct {
	after int64
	mark  string // of the record there: a stream that was deleted and made again has another
}

func (c cursor) body() []byte { return fmt.Appendf(nil, "%d %s", c.after, c.mark) }

// markOf tells a message of the stream from one that another stream has at its place.
func markOf(m *amqp.Delivery) string {
	return strconv.FormatInt(m.Timestamp.Unix(), 10) + " " + m.MessageId
}

// mark returns that of the record at a position, or none if there is no record.
func (d *driver) mark(ctx context.Context, at int64) ([]byte, error) {
	if at < 0 {
		return nil, nil
	}
	all, err := d.records(ctx, at, 1)
	if err != nil || len(all) == 0 || position(&all[0]) != at {
		return nil, err
	}
	return []byte(markOf(&all[0])), nil
}

// fed returns what the last feeder of a group has noted.
func (d *driver) fed(ctx context.Context, g group) (cursor, error) {
	last, err := d.newest(ctx, d.names.cursor(g))
	if err != nil && !rabbitmq.Missing(err) {
		return cursor{}, err
	}
	at := cursor{g.After, string(g.Mark)}
	if last == nil {
		return at, nil
	}
	number, mark, _ := strings.Cut(string(last.Body), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err == nil { // also a lower one, of a stream that was made again
		at = cursor{n, mark}
	}
	return at, nil
}

// settle is how long a stream that ends before a cursor is given: after a new leader
// was elected its last records may not be readable at once.
const settle = 2 * time.Second

// where returns from where to copy: behind the cursor, or from the beginning of a
// stream that somebody has deleted and made again since, whose positions begin again
// too.
func (f *feeder) where(ctx context.Context) (cursor, error) {
	at, err := f.d.fed(ctx, f.group)
	if err != nil || at.after < 0 {
		return at, err
	}
	for began := time.Now(); ; {
		all, err := f.d.records(ctx, at.after, 1)
		switch {
		case err != nil:
			return at, err
		case len(all) > 0 && (position(&all[0]) > at.after || at.mark == "" || at.mark == markOf(&all[0])): // the record may have been removed by age
			return at, nil
		case len(all) > 0 || time.Since(began) > settle:
			f.d.log.Warn("event: the stream was deleted and made again: the group begins with what it has now", "backend", "rabbitmq", "group", f.group.Name)
			return cursor{after: -1}, nil
		}
		if err := backoff.Sleep(ctx, settle/10); err != nil {
			return at, err
		}
	}
}
