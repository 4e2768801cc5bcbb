package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/backoff"
	conn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
)

// A service that changes all the time is read burst times at once, then once
// in pace.
const (
	burst = 10
	pace  = 25 * time.Millisecond
)

// Watch listens first and reads then, so that no change falls in between.
func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	l, err := d.join(ctx, channel(service))
	if err != nil {
		return err
	}
	defer d.leave(l)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	tokens, filled := float64(burst), time.Now()
	for {
		state, err := d.read(ctx, service)
		if err != nil {
			return err
		}
		deliver(state.Update)
		timer.Reset(min(d.poll, state.next))

		now := time.Now()
		tokens = min(burst, tokens+float64(now.Sub(filled))/float64(pace)) - 1
		filled = now
		if tokens < 0 {
			if err := backoff.Sleep(ctx, time.Duration(-tokens*float64(pace))); err != nil {
				return err
			}
		}
		select {
		case <-l.woken:
		case <-timer.C:
		case <-l.hub.ended:
			return l.hub.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer is one reading of a service.
type answer struct {
	discovery.Update
	next time.Duration // until the first instance may expire
}

// readTime is how long a read may take before the server counts as unavailable.
const readTime = 5 * time.Second

func (d *driver) read(ctx context.Context, service string) (answer, error) {
	bounded, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	raw, err := d.run(bounded, read, service)
	if err != nil {
		if ctx.Err() == nil && bounded.Err() != nil {
			err = fault.Markf(fault.Unavailable, "no answer within %v", readTime)
		}
		return answer{}, conn.ReadError(err)
	}
	a, err := parse(raw)
	if err != nil {
		return answer{}, fault.Mark(fault.Invalid, err)
	}
	return a, nil
}

// parse reads what the script read answers.
func parse(raw any) (answer, error) {
	parts, _ := raw.([]any)
	if len(parts) != 5 {
		return answer{}, fmt.Errorf("an answer of %T with %d parts", raw, len(parts))
	}
	now, _ := parts[0].(int64)
	live, _ := parts[1].([]any)
	values, _ := parts[2].([]any)
	left, _ := parts[3].([]any)
	over, _ := parts[4].([]any)
	if now == 0 || len(live) != 2*len(values) {
		return answer{}, fmt.Errorf("an answer at %d of %d values for %d ids", now, len(values), len(live)/2)
	}
	a := answer{next: time.Hour}
	a.Instances = make([]discovery.Instance, 0, len(values))
	ttls := make(map[string]time.Duration, len(values))
	for i, v := range values {
		id, _ := live[2*i].(string)
		score, _ := live[2*i+1].(string)
		value, _ := v.(string)
		expires, err := strconv.ParseFloat(score, 64)
		var e discovery.Entry
		if err != nil || json.Unmarshal([]byte(value), &e) != nil || e.ID != id {
			continue // not of this package
		}
		// A millisecond later it certainly has.
		a.next = min(a.next, time.Duration(int64(expires)-now+1)*time.Millisecond)
		a.Instances = append(a.Instances, e.Instance)
		ttls[id] = e.TTL
	}
	a.TTL = func(id string) time.Duration { return ttls[id] }
	// The server keeps traces of both for longer than any reader needs them: of
	// what has none, it has lost the entry.
	gone := make(map[string]discovery.Fate, len(left)+len(over))
	for _, id := range over {
		if id, ok := id.(string); ok {
			gone[id] = discovery.Expired
		}
	}
	for _, id := range left {
		if id, ok := id.(string); ok {
			gone[id] = discovery.Deregistered
		}
	}
	a.Fate = func(id string) discovery.Fate {
		if f := gone[id]; f != discovery.Unknown {
			return f
		}
		return discovery.Lost
	}
	return a, nil
}
