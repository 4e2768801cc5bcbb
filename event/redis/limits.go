package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
)

// usualLargest is the default of proto-max-bulk-len, for a server that does not
// let us ask.
const usualLargest = 512 << 20

// askLimits asks the server for the largest value that it takes. It ends the
// connection of a client that sends a larger one, which looks like a lost reply.
func (d *driver) askLimits(ctx context.Context) error {
	got, err := redis.Do(ctx, d.client, func(ctx context.Context) (map[string]string, error) {
		return d.client.ConfigGet(ctx, "proto-max-bulk-len").Result()
	})
	if err != nil && !isAnswer(err, "") {
		return redis.ReadError(err)
	}
	n, err := strconv.ParseInt(got["proto-max-bulk-len"], 10, 64)
	if err != nil || n <= 0 {
		n = usualLargest
	}
	d.largest.Store(n)
	return nil
}

// Advice is that of eventdriver.Adviser.
func (d *driver) Advice(ctx context.Context) string {
	policy := d.client.Eviction(ctx)
	if policy == "" {
		return ""
	}
	which := "the turns of ordered groups, so that two members may break the order for a moment"
	if strings.HasPrefix(policy, "allkeys-") {
		which = "whole streams"
	}
	return fmt.Sprintf("Redis at %s has maxmemory-policy %s: when its memory is full, it drops %s: set noeviction", d.client.Addr(), policy, which)
}

// limits refuses, before anything is sent, a record that the server won't take.
func (d *driver) limits(ctx context.Context, records []*event.Record) error {
	if d.largest.Load() == 0 { // opened without asking
		if err := d.askLimits(ctx); err != nil {
			return err
		}
	}
	limit := d.largest.Load()
	for _, r := range records {
		if int64(len(r.Data)) < limit/2 { // names and metadata are less than that
			continue
		}
		if n := len(eventdriver.AppendRecord(nil, r)); int64(n) > limit {
			return fault.Markf(fault.TooLarge, "the record has %d bytes, the server's proto-max-bulk-len is %d", n, limit)
		}
	}
	return nil
}
