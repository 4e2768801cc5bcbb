package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// scan is how many entries a filtered read looks at in one round trip.
const scan = 1000

func (d *driver) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	if q.Reverse {
		return d.readBack(ctx, q)
	}
	after, err := d.locate(ctx, q.From)
	if err != nil || q.Max == 0 {
		return event.Page{Next: after}, err
	}
	if page, ok, err := d.lookUp(ctx, q, after); ok || err != nil {
		return page, err
	}
	count := looked(q)
	// From the last entry read on, inclusively: while that one is there,
	// nothing after it has been removed.
	entries, err := redis.Do(ctx, d.client, func(ctx context.Context) ([]goredis.XMessage, error) {
		return d.client.XRangeN(ctx, d.key, after, "+", int64(count+1)).Result()
	})
	if err != nil {
		return event.Page{}, redis.ReadError(err)
	}
	page := event.Page{Next: after, More: len(entries) > count}
	switch {
	case len(entries) > 0 && entries[0].ID == after:
		entries = entries[1:]
	case q.From.Kind == event.AfterPosition && after != beforeAll:
		page.Missed, err = d.missed(ctx, after)
		if err != nil {
			return event.Page{}, err
		}
	}
	d.fill(&page, entries, q)
	return page, nil
}

func (d *driver) readBack(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	from, before := "+", ""
	if q.From.Kind == event.AfterPosition || q.From.Kind == event.AtTime {
		id, err := d.locate(ctx, q.From)
		if err != nil {
			return event.Page{}, err
		}
		from = "(" + id
		if id == beforeAll {
			return event.Page{Next: id}, nil
		}
		before = id
	}
	if page, ok, err := d.lookUp(ctx, q, before); ok || err != nil {
		return page, err
	}
	count := looked(q)
	entries, err := redis.Do(ctx, d.client, func(ctx context.Context) ([]goredis.XMessage, error) {
		return d.client.XRevRangeN(ctx, d.key, from, "-", int64(count)).Result()
	})
	if err != nil {
		return event.Page{}, redis.ReadError(err)
	}
	page := event.Page{More: len(entries) == count}
	d.fill(&page, entries, q)
	return page, nil
}

// fill puts the records that are asked for into a page, up to its limit.
func (d *driver) fill(page *event.Page, entries []goredis.XMessage, q event.ReadRequest) {
	for _, m := range entries {
		if len(page.Records) == q.Max {
			page.More = true
			return
		}
		page.Next = m.ID
		if r := d.decode(m); r != nil && q.Filter.Match(r) {
			page.Records = append(page.Records, r)
		}
	}
}

// looked is how many entries a read looks at.
func looked(q event.ReadRequest) int {
	if narrow(q.Filter) {
		return max(q.Max, scan)
	}
	return q.Max
}

// narrow reports whether a filter leaves most records out.
func narrow(f event.Filter) bool {
	return f.ID != "" || f.Source != "" || f.RootID != "" || f.Subject != "" || !f.Since.IsZero() || !f.Until.IsZero() || !f.Types.All()
}

// decode returns nil for an entry that somebody else wrote.
func (d *driver) decode(m goredis.XMessage) *event.Record {
	r, err := decode(m)
	if err != nil {
		d.log.Warn("event: entry is no record", "stream", d.key, "position", m.ID)
		return nil
	}
	return r
}

// missed returns 1 if anything after an entry that is gone was removed too.
func (d *driver) missed(ctx context.Context, after string) (int64, error) {
	info, err := d.info(ctx)
	if err != nil {
		return 0, err
	}
	if less(after, info.MaxDeletedEntryID) {
		return 1, nil
	}
	return 0, nil
}

// less compares two entry ids.
func less(a, b string) bool {
	am, as := split(a)
	bm, bs := split(b)
	return am < bm || am == bm && as < bs
}

func split(id string) (ms, seq uint64) {
	a, b, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(a, 10, 64)
	seq, _ = strconv.ParseUint(b, 10, 64)
	return ms, seq
}

// block is how long one command waits at the server.
const block = 2 * time.Second

func (d *driver) Wait(ctx context.Context, after string) error {
	if after == "" {
		after = beforeAll
	}
	if err := checkID(after); err != nil {
		return err
	}
	w := waiter{client: d.waiting, key: d.key}
	defer w.close()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		found, err := w.do(ctx, block, func(ctx context.Context, c goredis.Cmdable) (int, error) {
			streams, err := c.XRead(ctx, &goredis.XReadArgs{Streams: []string{d.key, after}, Count: 1, Block: block}).Result()
			return len(streams), err
		})
		if err != nil {
			return err
		}
		if found > 0 {
			return nil
		}
	}
	return nil
}

func (d *driver) Behind(ctx context.Context, after string) (int64, error) {
	info, err := d.info(ctx)
	if err != nil || info.Length == 0 || !less(after, info.LastGeneratedID) {
		return 0, err
	}
	return -1, nil // a stream does not count between two ids
}
