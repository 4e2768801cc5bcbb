package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// Option configures the backend.
type Option func(*config) error

type config struct{ redis.Config }

// Backend keeps the stream in the Redis at addr: "host:port", several of a
// cluster as "a:6379,b:6379", or a URL with the scheme redis, rediss (TLS),
// redis+sentinel or redis+cluster, with user, password and database.
func Backend(addr string, opts ...Option) event.Option {
	return open(config{redis.Config{Address: addr}}, opts)
}

// WithClient keeps the stream through a client that the caller already has,
// and closes itself. Each subscription needs a connection of its pool.
func WithClient(client goredis.UniversalClient, opts ...Option) event.Option {
	return open(config{redis.Config{Client: client}}, opts)
}

// WithAuth gives name and password, over those in the address.
func WithAuth(username, password string) Option {
	return func(c *config) error {
		c.Username = username
		return conn.SetSecret(&c.Password, password)
	}
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithTimeouts bounds making a connection and waiting for one answer. The
// defaults are 2 s and 3 s; 0 keeps the default.
func WithTimeouts(dial, answer time.Duration) Option {
	return func(c *config) error {
		if dial < 0 || answer < 0 {
			return fault.Markf(event.ErrInvalid, "timeouts %v and %v", dial, answer)
		}
		c.DialTimeout, c.Timeout = dial, answer
		return nil
	}
}

func open(c config, opts []Option) event.Option {
	return event.WithDriver("redis", func(_ context.Context, s event.Settings) (event.Driver, error) {
		c := c // of this opening: the option may be given several times
		if c.Address == "" && c.Client == nil {
			return nil, fault.Markf(event.ErrInvalid, "no address and no client")
		}
		c, err := conn.Apply(c, opts)
		if err != nil {
			return nil, err
		}
		client, err := redis.Open(c.Config)
		if err != nil {
			return nil, err
		}
		d := &driver{client: client, waiting: client, key: "{event:" + s.Namespace + "}", log: s.Logger}
		if c.Client == nil { // those that wait take no connection from those that work
			w := c.Config
			w.PoolSize = 1 << 12
			if d.waiting, err = redis.Open(w); err != nil {
				return nil, err
			}
		}
		return d, nil
	})
}

// driver is one Redis stream, and beside it two hashes: of the groups with
// their types, and for a while of the groups that were deleted.
type driver struct {
	client  *redis.Client
	waiting *redis.Client // for commands that block
	key     string
	log     logger
	largest atomic.Int64 // value that the server takes; 0: it was not asked
}

type logger interface {
	Warn(msg string, args ...any)
}

func (d *driver) groupsKey() string           { return d.key + ":groups" }
func (d *driver) deletedKey() string          { return d.key + ":deleted" }
func (d *driver) leaseKey(name string) string { return d.key + ":lease:" + name }

func (d *driver) Features() event.Features {
	return event.Features{Durable: true, Shared: true, Atomic: true, Exclusive: true, Positions: true}
}

func (d *driver) Ping(ctx context.Context) error {
	if err := d.client.Ping(ctx); err != nil {
		return err
	}
	return d.askLimits(ctx)
}

func (d *driver) Close(context.Context) error {
	if d.waiting != d.client {
		d.waiting.Close()
	}
	return d.client.Close()
}

// The fields of an entry. The type stands apart for people who look.
const (
	fieldType   = "type"
	fieldRecord = "record"
)

func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	add := func(ctx context.Context, c goredis.Cmdable, r *event.Record, buf []byte) *goredis.StringCmd {
		return c.XAdd(ctx, &goredis.XAddArgs{Stream: d.key, Values: []any{fieldType, r.Type, fieldRecord, event.AppendRecord(buf, r)}})
	}
	if err := d.limits(ctx, records); err != nil {
		return 0, err
	}
	_, err := redis.Do(ctx, d.client, func(ctx context.Context) (any, error) {
		if len(records) == 1 {
			return nil, add(ctx, d.client.UniversalClient, records[0], nil).Err()
		}
		// All at once or not at all, so that a lost reply says as little about
		// the first as about the last.
		_, err := d.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			for _, r := range records {
				add(ctx, p, r, nil)
			}
			return nil
		})
		return nil, err
	})
	if isAnswer(err, "EXECABORT") { // as while the server loads: nothing was done
		return 0, fault.Mark(fault.Unavailable, err)
	}
	if err != nil {
		return 0, redis.WriteError(err)
	}
	return len(records), nil
}

// checkID accepts "milliseconds-sequence".
func checkID(id string) error {
	ms, seq, ok := strings.Cut(id, "-")
	if _, err := strconv.ParseUint(ms, 10, 64); err != nil || !ok {
		return fault.Markf(fault.Invalid, "position %q is not one of a Redis stream", id)
	}
	if _, err := strconv.ParseUint(seq, 10, 64); err != nil {
		return fault.Markf(fault.Invalid, "position %q is not one of a Redis stream", id)
	}
	return nil
}

const beforeAll = "0-0"

// locate returns the id that reading begins after.
func (d *driver) locate(ctx context.Context, p event.Position) (string, error) {
	switch p.Kind {
	case event.AfterPosition:
		return p.ID, checkID(p.ID)
	case event.AtTime:
		ms := p.Time.UnixMilli()
		if ms <= 0 {
			return beforeAll, nil
		}
		return fmt.Sprintf("%d-%d", ms-1, uint64(1<<64-1)), nil
	case event.AtEnd:
		info, err := d.info(ctx)
		if err != nil {
			return "", err
		}
		return info.LastGeneratedID, nil
	}
	return beforeAll, nil
}

// info describes the stream; one that isn't there is empty.
func (d *driver) info(ctx context.Context) (*goredis.XInfoStream, error) {
	info, err := redis.Do(ctx, d.client, func(ctx context.Context) (*goredis.XInfoStream, error) {
		return d.client.XInfoStream(ctx, d.key).Result()
	})
	if isAnswer(err, "no such key") {
		return &goredis.XInfoStream{LastGeneratedID: beforeAll, MaxDeletedEntryID: beforeAll}, nil
	}
	if err != nil {
		return nil, redis.ReadError(err)
	}
	return info, nil
}

func isAnswer(err error, part string) bool {
	var answer goredis.Error
	return errors.As(err, &answer) && strings.Contains(answer.Error(), part)
}

// decode returns the record of an entry.
func decode(m goredis.XMessage) (*event.Record, error) {
	s, _ := m.Values[fieldRecord].(string)
	r, err := event.ParseRecord(s)
	if err != nil {
		return &event.Record{Position: m.ID, Data: []byte(fmt.Sprint(m.Values)), ContentType: "text/plain"}, err
	}
	r.Position = m.ID
	return r, nil
}
