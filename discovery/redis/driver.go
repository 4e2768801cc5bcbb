package redis

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// index is a sorted set of the names of services, by when they were last
// heard of. It may have names without instances, for as long as listed.
const (
	index  = "discovery:services"
	listed = 24 * time.Hour
)

// driver implements discovery.Driver.
type driver struct {
	*conn.Client
	poll time.Duration

	mu  sync.Mutex
	hub *hub // nil: nobody listens
}

// keys of a service; the braces put them into one slot of a cluster.
func keys(service string) []string {
	base := "discovery:{" + service + "}:"
	return []string{base + "i", base + "t", base + "d"}
}

func channel(service string) string { return "discovery:{" + service + "}" }

// run runs a script and leaves with ctx.
func (d *driver) run(ctx context.Context, s *goredis.Script, service string, args ...any) (any, error) {
	return conn.Do(ctx, d.Client, func(ctx context.Context) (any, error) {
		return s.Run(ctx, d.UniversalClient, keys(service), args...).Result()
	})
}

// list puts a service into the index.
func (d *driver) list(ctx context.Context, service string) error {
	_, err := conn.Do(ctx, d.Client, func(ctx context.Context) (any, error) {
		z := goredis.Z{Score: float64(time.Now().Unix()), Member: service}
		_, err := d.Pipelined(ctx, func(p goredis.Pipeliner) error {
			p.ZAdd(ctx, index, z)
			p.Expire(ctx, index, listed)
			return nil
		})
		return nil, err
	})
	// Nobody has to know whether a name got there.
	return conn.ReadError(err)
}

// owned is what the JSON of an owner's entries begins with.
func owned(owner string) string { return `{"owner":"` + owner + `",` }

func (d *driver) Register(ctx context.Context, e discovery.Entry, replace func(held discovery.Entry) bool) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := d.list(ctx, e.Service); err != nil { // first: an instance must not be missing there
		return err
	}
	// The script replaces exactly the entry that replace has seen.
	for replaced := ""; ; {
		answer, err := d.run(ctx, register, e.Service, e.ID, value, e.TTL.Milliseconds(), channel(e.Service), owned(e.Owner), replaced)
		if err != nil {
			return conn.WriteError(err)
		}
		held, _ := answer.(string)
		if held == "" {
			return nil
		}
		var other discovery.Entry
		_ = json.Unmarshal([]byte(held), &other) // what can't be read has no address
		if !replace(other) {
			return discovery.ErrExists
		}
		replaced = held
	}
}

func (d *driver) Renew(ctx context.Context, e discovery.Entry) error {
	found, err := d.run(ctx, renew, e.Service, e.ID, e.TTL.Milliseconds(), owned(e.Owner))
	switch {
	case err != nil:
		return conn.WriteError(err)
	case found == int64(2):
		return discovery.ErrExists
	case found != int64(1):
		return discovery.ErrNotFound
	}
	return d.list(ctx, e.Service)
}

func (d *driver) Deregister(ctx context.Context, e discovery.Entry) error {
	_, err := d.run(ctx, deregister, e.Service, e.ID, channel(e.Service), owned(e.Owner))
	return conn.WriteError(err)
}

func (d *driver) Services(ctx context.Context) ([]string, error) {
	return conn.Do(ctx, d.Client, func(ctx context.Context) ([]string, error) {
		names, err := d.ZRangeWithScores(ctx, index, 0, -1).Result()
		if err != nil || len(names) == 0 {
			return nil, conn.ReadError(err)
		}
		now, err := d.Time(ctx).Result()
		if err != nil {
			return nil, conn.ReadError(err)
		}
		live := make([]*goredis.IntCmd, len(names))
		_, err = d.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, name := range names {
				live[i] = p.ZCount(ctx, keys(name.Member.(string))[1], "("+strconv.FormatInt(now.UnixMilli(), 10), "+inf")
			}
			return nil
		})
		if err != nil {
			return nil, conn.ReadError(err)
		}
		var some []string
		var unheard []any
		for i, name := range names {
			switch {
			case live[i].Val() > 0:
				some = append(some, name.Member.(string))
			case name.Score < float64(now.Add(-listed).Unix()):
				unheard = append(unheard, name.Member)
			}
		}
		if len(unheard) > 0 {
			_ = d.ZRem(ctx, index, unheard...).Err() // who may only read leaves them to others
		}
		return some, nil
	})
}
