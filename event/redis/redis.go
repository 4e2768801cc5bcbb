package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// Backend keeps the stream in the Redis at addr, over an engine of its own:
// "redis://user:password@host:6379/2", several of a cluster as "a:6379,b:6379",
// and the other forms that engine/redis takes.
func Backend(addr string) event.Option {
	return open(func() (*redis.Client, error) { return redis.Open(redis.Config{Address: addr}) })
}

// On keeps the stream in the Redis that the engine is connected to, and leaves it
// open.
func On(e *engine.Engine) event.Option { return open(e.Conn) }

func open(connect func() (*redis.Client, error)) event.Option {
	return event.WithDriver("redis", func(_ context.Context, s event.Settings) (event.Driver, error) {
		client, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{client: client, waiting: client.Waiting(), key: "{event:" + s.Namespace + "}", log: s.Logger}, nil
	})
}

// driver is one Redis stream, and beside it two hashes: of the groups with
// their types, and for a while of the groups that were deleted.
type driver struct {
	client  *redis.Client
	waiting *redis.Client // for commands that block
	key     string
	log     *slog.Logger
	largest atomic.Int64 // value that the server takes; 0: it was not asked
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

func (d *driver) Close(context.Context) error { return d.client.Close() }

// The fields of an entry. The type stands apart for people who look.
const (
	fieldType   = "type"
	fieldRecord = "record"
)

func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	add := func(ctx context.Context, r *event.Record) once {
		return once{goredis.NewStringCmd(ctx, "xadd", d.key, "*", fieldType, r.Type, fieldRecord, eventdriver.AppendRecord(nil, r))}
	}
	if err := d.limits(ctx, records); err != nil {
		return 0, err
	}
	_, err := redis.Do(ctx, d.client, func(ctx context.Context) (any, error) {
		if len(records) == 1 {
			return nil, d.client.Process(ctx, add(ctx, records[0]))
		}
		// All at once or not at all, so that a lost reply says as little about
		// the first as about the last.
		_, err := d.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			for _, r := range records {
				if err := p.Process(ctx, add(ctx, r)); err != nil {
					return err
				}
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
	ms, seq, _ := strings.Cut(id, "-")
	_, err := strconv.ParseUint(ms, 10, 64)
	if err == nil {
		_, err = strconv.ParseUint(seq, 10, 64)
	}
	if err != nil {
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
	r, err := eventdriver.ParseRecord(s)
	if err != nil {
		return &event.Record{Position: m.ID, Data: []byte(fmt.Sprint(m.Values)), ContentType: "text/plain"}, err
	}
	r.Position = m.ID
	return r, nil
}
