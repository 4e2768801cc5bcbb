package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
	dsync "github.com/micro/go-platform/sync"
	goredis "github.com/redis/go-redis/v9"
)

// List implements Lister of sync/driver. It goes through all keys of the
// server, as SCAN does, and reads those that match. Redis keeps no queue.
func (d *driver) List(ctx context.Context, prefix string, yield func(string, dsync.Hold) bool) error {
	masters, err := redisconn.Masters(ctx, d.conn)
	if err != nil {
		return err
	}
	seen := map[string]bool{} // SCAN may return a key twice, and while a slot moves two primaries may
	for _, m := range masters {
		for cursor := uint64(0); ; {
			page, err := redisconn.Do(ctx, d.conn, func(ctx context.Context) (page, error) { return readPage(ctx, m, cursor, prefix) })
			if err != nil {
				return redisconn.ReadError(err)
			}
			for i, key := range page.keys {
				if seen[key] {
					continue
				}
				seen[key] = true
				for _, h := range holdsOf(page.fields[i], page.now) {
					if !yield(key, h) {
						return nil
					}
				}
			}
			cursor = page.next
			if cursor == 0 {
				break
			}
		}
	}
	return nil
}

// page is a part of the keys, what is in them, and the server's clock at that time.
type page struct {
	keys   []string
	fields []map[string]string
	now    time.Time
	next   uint64
}

func readPage(ctx context.Context, m *goredis.Client, cursor uint64, prefix string) (p page, err error) {
	p.keys, p.next, err = m.ScanType(ctx, cursor, prefix+"*", 1000, "hash").Result()
	if err != nil || len(p.keys) == 0 {
		return p, err
	}
	pipe := m.Pipeline()
	clock := pipe.Time(ctx)
	all := make([]*goredis.MapStringStringCmd, len(p.keys))
	for i, key := range p.keys {
		all[i] = pipe.HGetAll(ctx, key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return p, err
	}
	p.now = clock.Val()
	for _, fields := range all {
		p.fields = append(p.fields, fields.Val())
	}
	return p, nil
}

// holdsOf reads a lock's hash, or a semaphore's; see scripts.go.
func holdsOf(fields map[string]string, now time.Time) (all []dsync.Hold) {
	add := func(owner, token, until string) {
		ms, err := strconv.ParseInt(until, 10, 64)
		number, _ := strconv.ParseUint(token, 10, 64)
		if left := ms - now.UnixMilli(); err == nil && left > 0 {
			all = append(all, dsync.Hold{Owner: owner, Token: number, Until: time.Now().Add(time.Duration(left) * time.Millisecond)})
		}
	}
	if fields["h"] != "" {
		add(fields["o"], fields["t"], fields["u"])
	}
	for name, value := range fields {
		if until, token, ok := strings.Cut(value, " "); ok && strings.HasPrefix(name, "p") {
			add("", token, until)
		}
	}
	return all
}
